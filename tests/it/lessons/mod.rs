//! What broke in systems before this one: each test is a fault that was seen for real, and its name is
//! what holds here instead. The loss under kill -9 with concurrent senders has a module of its own,
//! `kill_twenty`, and so have forged calls between servers, `strangers`.

mod clients;
mod deletion;
mod frozen;
mod identity;
mod restarts;
