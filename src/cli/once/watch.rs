//! `status --watch`: how the servers are, look after look.
//!
//! On a terminal each look is painted over the one before; anywhere else it is a block of its own. It ends
//! when the person presses q, Ctrl-C or Ctrl-D, when the input ends, or when nobody reads the output any
//! more. A server that does not answer is shown as such: whoever watches wants to see it come back.

use std::{io, time::Duration};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _},
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::OneShot;
use crate::{
    cli::{
        answer::Answer,
        exit::{Failure, output},
        voice::Voice,
    },
    client::Client,
};

/// To the upper left corner.
const HOME: &str = "\x1b[H";
/// What is left of a line is emptied.
const REST_OF_LINE: &str = "\x1b[K";
/// Everything below is emptied.
const BELOW: &str = "\x1b[J";
/// What Ctrl-D is where a terminal hands over every key.
const CONTROL_D: u8 = 4;

impl<Input, Output, Notes> OneShot<Input, Output, Notes>
where
    Input: AsyncBufRead + Unpin,
    Output: AsyncWrite + Unpin,
    Notes: AsyncWrite + Unpin,
{
    /// Shows how the servers are, so often, until it is enough.
    pub(super) async fn watch(&mut self, every: Duration) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        let _keys = if self.person { Keys::take() } else { None };
        let painting = self.screen && !self.voice.json;
        let screen = Screen { every, painting, voice: self.voice };
        let OneShot { client, input, output: to, .. } = self;
        let mut enough = std::pin::pin!(key(input));
        let mut looks = interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut first = true;
        loop {
            let look = async {
                looks.tick().await;
                look(client).await
            };
            let answer = tokio::select! {
                () = signals.any() => return Ok(()),
                // A script that gives no input wants one look at least.
                ended = &mut enough, if !first => return ended.map_err(super::input),
                answer = look => answer,
            };
            let shown = screen.shows(&answer, first);
            to.write_all(shown.as_bytes()).await.map_err(output)?;
            to.flush().await.map_err(output)?;
            first = false;
        }
    }
}

async fn look(client: &Client) -> Answer {
    Answer::Status(client.status().await)
}

/// The signals by which it is ended. They are listened to, for the terminal is to be as it was.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Signals, Failure> {
        let listen = |kind| {
            let failed = |error| Failure::System { what: "cannot listen to signals".into(), error };
            signal(kind).map_err(failed)
        };
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hang_up] = kinds.map(listen);
        Ok(Signals([interrupt?, terminate?, hang_up?]))
    }

    /// Waits for one of them.
    async fn any(&mut self) {
        let Signals([interrupt, terminate, hang_up]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

/// Waits for a key that ends it, or for the end of all keys.
async fn key(mut keys: impl AsyncBufRead + Unpin) -> io::Result<()> {
    loop {
        let pressed = keys.fill_buf().await?;
        if pressed.is_empty() || pressed.iter().any(|key| matches!(key, b'q' | b'Q' | &CONTROL_D)) {
            return Ok(());
        }
        let count = pressed.len();
        keys.consume(count);
    }
}

/// How a look is shown.
struct Screen {
    every: Duration,
    painting: bool,
    voice: Voice,
}

impl Screen {
    fn shows(&self, answer: &Answer, first: bool) -> String {
        let table = self.voice.answer(answer);
        if self.voice.json {
            return table;
        }
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
        if !self.painting {
            let between = if first { "" } else { "\n" };
            return format!("{between}{now}\n{table}");
        }
        let every = self.every.as_secs();
        let head = self.voice.paint.dim(format!("{now}  every {every} s, q ends"));
        let lines = [head.as_str(), ""].into_iter().chain(table.lines());
        // The rest of a longer line before would stand there still.
        let painted: String = lines.map(|line| format!("{line}{REST_OF_LINE}\r\n")).collect();
        format!("{HOME}{painted}{BELOW}")
    }
}

/// A terminal that hands over every key at once and does not show it; as it was, when dropped.
struct Keys(Termios);

impl Keys {
    /// `None` where there is no terminal that can do so: then a key counts once its line is ended.
    fn take() -> Option<Keys> {
        let terminal = io::stdin();
        let before = tcgetattr(&terminal).ok()?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Now, &modes).ok()?;
        Some(Keys(before))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing any more.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::paint::Paint;

    #[tokio::test]
    async fn only_q_control_d_and_the_end_of_the_input_are_enough() {
        for mut keys in [&b"abc\nq"[..], b"Q", b"x\x04", b""] {
            key(&mut keys).await.expect("read");
        }
        let (mut hand, keyboard) = tokio::io::duplex(16);
        let mut keyboard = tokio::io::BufReader::new(keyboard);
        hand.write_all(b"abc").await.expect("room");
        tokio::select! {
            biased;
            _ = key(&mut keyboard) => panic!("other keys are no end"),
            () = std::future::ready(()) => {}
        }
        drop(hand);
        key(&mut keyboard).await.expect("the end");
    }

    #[test]
    fn a_look_is_painted_over_the_one_before_on_a_terminal_and_stands_alone_elsewhere() {
        let answer = Answer::Status(Vec::new());
        let voice = Voice { json: false, paint: Paint::default() };
        let screen = |painting| Screen { every: Duration::from_secs(2), painting, voice };
        let painted = screen(true).shows(&answer, false);
        assert!(painted.starts_with(HOME) && painted.ends_with(BELOW), "{painted:?}");
        assert!(painted.contains("every 2 s, q ends"));
        assert!(painted.lines().all(|line| line == BELOW || line.ends_with(REST_OF_LINE)));
        let plain = screen(false).shows(&answer, true);
        assert!(!plain.contains('\x1b') && plain.starts_with("20"), "{plain:?}");
        assert!(screen(false).shows(&answer, false).starts_with("\n20"), "an empty line between");
    }
}
