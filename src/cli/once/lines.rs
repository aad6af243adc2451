//! `send --lines`: every line of the input is a message, and many are under way at the same time.
//!
//! The request ids of the lines are counted up from the first one's. So the same input under the same id settles
//! whatever was left open, and nothing is there twice. Whatever has been read is sent at once, however little it
//! is: the input may be the output of something that goes on for days.

use std::pin::pin;

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite},
    sync::mpsc,
};
use uuid::Uuid;

use super::{LONGEST_BODY, OneShot, input, put};
use crate::{
    cli::{
        advice::{Place, advised},
        answer::Answer,
        command::{self, Command},
        exit::{Exit, Failure},
        json,
        session::next_notice,
        text,
        voice::Voice,
    },
    client::{Client, Error, Outgoing},
};

/// Lines that are read ahead, and lines on their way.
const MANY: usize = 1_000;

/// A line of the input.
struct Line {
    /// From 1; empty ones are counted and not sent.
    number: u64,
    text: String,
}

/// What the lines are sent with, and where what becomes of them is told.
struct Sender<'a, Output, Notes> {
    client: &'a Client,
    voice: Voice,
    output: &'a mut Output,
    notes: &'a mut Notes,
    conversation: String,
    /// The request id of line 1.
    first: Uuid,
}

impl<Input, Output, Notes> OneShot<Input, Output, Notes>
where
    Input: AsyncBufRead + Unpin,
    Output: AsyncWrite + Unpin,
    Notes: AsyncWrite + Unpin,
{
    /// Sends the input's lines; a line that is refused does not hold up the others.
    pub(super) async fn send_lines(
        &mut self,
        conversation: &str,
        first: Option<&str>,
    ) -> Result<(), Failure> {
        let first = match first.map(Uuid::parse_str) {
            None => Uuid::now_v7(),
            Some(Ok(first)) => first,
            Some(Err(_)) => {
                return Err(Failure::Usage(
                    "the request id is no UUID; leave it out to begin".into(),
                ));
            }
        };
        let (client, voice) = (self.client.clone(), self.voice);
        let sender = Sender {
            client: &client,
            voice,
            output: &mut self.output,
            notes: &mut self.notes,
            conversation: command::conversation(conversation)?,
            first,
        };
        let (lines, waiting) = mpsc::channel(MANY);
        let (mut reading, mut sending) =
            (pin!(read(&mut self.input, lines)), pin!(sender.send(waiting)));
        let read = tokio::select! {
            // It ends before the input does only if it fails.
            sent = &mut sending => return sent,
            read = &mut reading => read,
        };
        sending.await.and(read)
    }
}

/// Hands the lines over; ends with the input, or where the other side does.
async fn read(
    mut from: impl AsyncBufRead + Unpin,
    lines: mpsc::Sender<Line>,
) -> Result<(), Failure> {
    for number in 1.. {
        let mut bytes = Vec::new();
        let mut limited = (&mut from).take(LONGEST_BODY);
        if limited.read_until(b'\n', &mut bytes).await.map_err(input)? == 0 {
            break;
        }
        if bytes.len() as u64 == LONGEST_BODY {
            let much = "is longer than a message can be; what follows was not sent";
            return Err(Failure::BadData(format!("line {number} {much}")));
        }
        let Ok(text) = String::from_utf8(bytes) else {
            let what = "is not UTF-8; what follows was not sent";
            return Err(Failure::BadData(format!("line {number} {what}")));
        };
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        if !text.is_empty() && lines.send(Line { number, text }).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl<Output, Notes> Sender<'_, Output, Notes>
where
    Output: AsyncWrite + Unpin,
    Notes: AsyncWrite + Unpin,
{
    /// Sends what comes, all that is there each time.
    async fn send(mut self, mut waiting: mpsc::Receiver<Line>) -> Result<(), Failure> {
        let (mut lines, mut sent, mut refused) = (Vec::new(), 0, Vec::new());
        while waiting.recv_many(&mut lines, MANY).await > 0 {
            sent += lines.len();
            self.send_some(&lines, &mut refused).await?;
            lines.clear();
        }
        let words = format!("{} of {sent} lines were refused", refused.len());
        match refused.first() {
            None => Ok(()),
            Some(Exit::BadData) => Err(Failure::BadData(words)),
            Some(_) => Err(Failure::Refused(words)),
        }
    }

    async fn send_some(&mut self, lines: &[Line], refused: &mut Vec<Exit>) -> Result<(), Failure> {
        let messages: Vec<Outgoing> = lines.iter().map(|line| self.message(line)).collect();
        let mut answers = Vec::new();
        let done = {
            let mut notices = self.client.notices();
            let told = |place, answer| answers.push((place, answer));
            let mut work = pin!(self.client.send_all(&messages, told));
            loop {
                tokio::select! {
                    biased;
                    done = &mut work => break done,
                    notice = next_notice(&mut notices) => {
                        put(self.notes, &format!("{}\n", text::notice(&notice))).await?;
                    }
                }
            }
        };
        for (place, answer) in answers {
            let told = match answer {
                Ok(message) => self.voice.answer(&Answer::Sent(message)),
                Err(mut refusal) => {
                    refusal.message = format!("line {}: {}", lines[place].number, refusal.message);
                    let failure = self.advised(Error::Refused(refusal));
                    refused.push(failure.exit());
                    put(self.notes, &format!("client: {}\n", failure.words())).await?;
                    if self.voice.json { json::failure(&failure) } else { String::new() }
                }
            };
            put(self.output, &told).await?;
        }
        done.map_err(|error| self.interrupted(error))
    }

    fn message(&self, line: &Line) -> Outgoing {
        Outgoing {
            request_id: request_id(self.first, line.number),
            conversation: self.conversation.clone(),
            body: line.text.clone(),
            reply_to: String::new(),
        }
    }

    fn advised(&self, error: Error) -> Failure {
        let (conversation, body) = (self.conversation.clone(), String::new());
        let command = Command::Send { conversation, body, request_id: None };
        advised(error.into(), Some(&command), Place::Shell)
    }

    /// The whole input is what has to be repeated, under the id that it began with.
    fn interrupted(&self, error: Error) -> Failure {
        let first = self.first.to_string();
        match error {
            Error::OutcomeUnknown { detail, .. } => {
                let detail = format!("{detail}, in the middle of the input");
                Error::OutcomeUnknown { request_id: first, detail }.into()
            }
            Error::NotLoggedIn { .. } => self.advised(error),
            error => Failure::Advised {
                failure: Box::new(error.into()),
                advice: format!(
                    "to go on give the same input with --request-id {first}; what was sent is not \
                     sent again"
                ),
            },
        }
    }
}

/// That of a line, from 1.
fn request_id(first: Uuid, number: u64) -> String {
    Uuid::from_u128(first.as_u128().wrapping_add(u128::from(number - 1))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_own_request_id_always_the_same() {
        let first = Uuid::from_u128(u128::MAX - 1);
        assert_eq!(request_id(first, 1), first.to_string());
        assert_eq!(request_id(first, 2), Uuid::max().to_string());
        assert_eq!(request_id(first, 3), Uuid::nil().to_string());
    }

    #[tokio::test]
    async fn lines_are_counted_and_empty_ones_left_out() {
        let (lines, mut read_lines) = mpsc::channel(MANY);
        read(&b"one\r\n\n\ntwo\nthree"[..], lines).await.expect("plain text");
        let mut all = Vec::new();
        read_lines.recv_many(&mut all, MANY).await;
        let all: Vec<_> = all.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(all, [(1, "one"), (4, "two"), (5, "three")]);
    }

    #[tokio::test]
    async fn what_can_be_no_message_is_named_by_its_line() {
        for (input, word) in [(&b"one\n\xff\n"[..], "UTF-8"), (&[b'x'; 70_000][..], "longer")] {
            let (lines, _kept) = mpsc::channel(MANY);
            let refused = read(input, lines).await.expect_err("it is no message");
            assert_eq!(refused.exit(), Exit::BadData);
            assert!(refused.words().contains(word), "{}", refused.words());
        }
    }
}
