//! Where lines come from and answers go.

use std::io;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use zeroize::Zeroizing;

/// No line is longer: a body has at most 16 KiB.
const LONGEST_LINE: usize = 64 * 1024;

/// A line, or that what came is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// Without its end.
    Text(String),
    /// Not UTF-8, or too long.
    Garbage,
    /// There are no more.
    End,
}

/// A pipe or a terminal.
pub(super) trait Console {
    /// Waits for a line. May be dropped and called again without losing any of it.
    async fn line(&mut self, prompt: &str) -> io::Result<Line>;
    /// Waits for a password; `None` if none comes.
    async fn password(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>>;
    /// The same for a password that is being chosen: a person types it twice, for nobody sees a slip.
    async fn new_password(&mut self) -> io::Result<Option<Zeroizing<String>>> {
        self.password("password: ").await
    }
    /// Writes what was asked for, or what arrived; the text ends its lines itself.
    async fn answer(&mut self, text: &str) -> io::Result<()>;
    /// Writes a remark about the way there, a line without its end.
    async fn note(&mut self, text: &str) -> io::Result<()>;
}

/// Lines in, answers out, remarks beside.
pub(super) struct Piped<Input, Output, Notes> {
    input: Input,
    output: Output,
    notes: Notes,
    /// What came of the next line so far.
    partial: Vec<u8>,
}

impl<Input, Output, Notes> Piped<Input, Output, Notes> {
    /// Joins them.
    pub(super) fn new(input: Input, output: Output, notes: Notes) -> Self {
        Piped { input, output, notes, partial: Vec::new() }
    }
}

impl<Input, Output, Notes> Console for Piped<Input, Output, Notes>
where
    Input: AsyncBufRead + Unpin,
    Output: AsyncWrite + Unpin,
    Notes: AsyncWrite + Unpin,
{
    async fn line(&mut self, _prompt: &str) -> io::Result<Line> {
        read_line(&mut self.input, &mut self.partial).await
    }

    async fn password(&mut self, _prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
        match read_line(&mut self.input, &mut self.partial).await? {
            Line::Text(text) => Ok(Some(Zeroizing::new(text))),
            Line::Garbage | Line::End => Ok(None),
        }
    }

    async fn answer(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes()).await?;
        self.output.flush().await
    }

    async fn note(&mut self, text: &str) -> io::Result<()> {
        self.notes.write_all(format!("{text}\n").as_bytes()).await?;
        self.notes.flush().await
    }
}

/// Reads a line; what came of it stays in `partial` if this is dropped.
pub(super) async fn read_line(
    input: &mut (impl AsyncBufRead + Unpin),
    partial: &mut Vec<u8>,
) -> io::Result<Line> {
    let room = LONGEST_LINE.saturating_sub(partial.len()) as u64;
    (&mut *input).take(room).read_until(b'\n', partial).await?;
    if partial.is_empty() {
        return Ok(Line::End);
    }
    let whole = partial.ends_with(b"\n");
    if !whole && partial.len() >= LONGEST_LINE {
        skip_line(input).await?;
        partial.clear();
        return Ok(Line::Garbage);
    }
    let mut bytes = std::mem::take(partial);
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(String::from_utf8(bytes).map_or(Line::Garbage, Line::Text))
}

async fn skip_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let some = input.fill_buf().await?;
        let end = some.iter().position(|byte| *byte == b'\n');
        let (length, done) = (end.map_or(some.len(), |end| end + 1), some.is_empty());
        input.consume(length);
        if end.is_some() || done {
            return Ok(());
        }
    }
}
