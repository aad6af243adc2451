//! stub
pub mod demo;
pub(crate) async fn terminal_session(_: &[String]) -> std::io::Result<()> { Ok(()) }
