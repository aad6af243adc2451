//! A person at a terminal: a line editor with a history, passwords that are not shown, and messages that
//! arrive above the line that is being typed.
//!
//! The editor blocks, so it has a thread of its own, which does one thing at a time as it is asked to.
//! It ends with the session: when nobody can ask any more.

mod completer;

use std::{io, path::PathBuf, thread};

use rustyline::{
    CompletionType, Config, Editor, ExternalPrinter, error::ReadlineError, history::DefaultHistory,
};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use self::completer::Names;
use super::{
    console::{Console, Line},
    exit::Failure,
    paint::Paint,
    roster::Words,
};

/// So many typed lines are remembered.
const HISTORY: usize = 1_000;

/// The editor with what it completes.
type LineEditor = Editor<Names, DefaultHistory>;

/// A terminal.
pub(super) struct Terminal {
    ask: mpsc::Sender<Ask>,
    typed: mpsc::Receiver<Typed>,
    /// Whether a line was asked for and has not come yet.
    reading: bool,
    printer: Box<dyn ExternalPrinter + Send>,
    paint: Paint,
}

enum Ask {
    Line(String),
    Password(String),
}

enum Typed {
    Line(io::Result<Line>),
    Password(io::Result<Zeroizing<String>>),
}

impl Terminal {
    /// Takes over this process's terminal.
    pub(super) fn open(
        history: Option<PathBuf>,
        words: Words,
        paint: Paint,
    ) -> Result<Terminal, Failure> {
        let config = Config::builder().max_history_size(HISTORY).map_err(failed)?;
        let config = config.auto_add_history(true).completion_type(CompletionType::List).build();
        let mut editor = LineEditor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Names(words)));
        if let Some(path) = &history {
            // At the first start there is none.
            let _ = editor.load_history(path);
        }
        let printer = Box::new(editor.create_external_printer().map_err(failed)?);
        let (ask, asked) = mpsc::channel(1);
        let (type_, typed) = mpsc::channel(1);
        thread::Builder::new()
            .name("terminal".into())
            .spawn(move || serve(editor, paint, history, asked, type_))
            .map_err(|error| Failure::System { what: "cannot read lines".into(), error })?;
        Ok(Terminal { ask, typed, reading: false, printer, paint })
    }

    async fn ask(&mut self, ask: Ask) -> io::Result<()> {
        self.ask.send(ask).await.map_err(|_| gone())
    }

    fn print(&mut self, text: String) -> io::Result<()> {
        self.printer.print(text).map_err(io::Error::other)
    }
}

impl Console for Terminal {
    async fn line(&mut self, prompt: &str) -> io::Result<Line> {
        if !self.reading {
            self.ask(Ask::Line(prompt.into())).await?;
            self.reading = true;
        }
        let typed = self.typed.recv().await.ok_or_else(gone)?;
        self.reading = false;
        match typed {
            Typed::Line(line) => line,
            Typed::Password(_) => unreachable!("a line was asked for"),
        }
    }

    async fn new_password(&mut self) -> io::Result<Option<Zeroizing<String>>> {
        loop {
            let first = self.password("password (8 bytes or more): ").await?;
            let again = self.password("the same again: ").await?;
            if first == again {
                return Ok(first);
            }
            self.note("these were two different ones; try again").await?;
        }
    }

    async fn password(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
        assert!(!self.reading, "one thing is asked for at a time");
        self.ask(Ask::Password(prompt.into())).await?;
        match self.typed.recv().await.ok_or_else(gone)? {
            Typed::Password(password) => password.map(Some),
            Typed::Line(_) => unreachable!("a password was asked for"),
        }
    }

    async fn answer(&mut self, text: &str) -> io::Result<()> {
        self.print(text.into())
    }

    async fn note(&mut self, text: &str) -> io::Result<()> {
        self.print(format!("{}\n", self.paint.dim(format!("* {text}"))))
    }
}

/// Does what it is asked for until nobody can ask any more.
fn serve(
    mut editor: LineEditor,
    paint: Paint,
    history: Option<PathBuf>,
    mut asked: mpsc::Receiver<Ask>,
    typed: mpsc::Sender<Typed>,
) {
    while let Some(ask) = asked.blocking_recv() {
        let answer = match ask {
            Ask::Line(prompt) => Typed::Line(read(&mut editor, &prompt, paint)),
            Ask::Password(prompt) => {
                Typed::Password(rpassword::prompt_password(prompt).map(Zeroizing::new))
            }
        };
        if let Some(path) = &history {
            // A history that cannot be kept is no reason to disturb a conversation.
            let _ = editor.append_history(path);
        }
        if typed.blocking_send(answer).is_err() {
            return;
        }
    }
}

fn read(editor: &mut LineEditor, prompt: &str, paint: Paint) -> io::Result<Line> {
    match editor.readline(&(prompt, paint.strong(prompt))) {
        Ok(line) => Ok(Line::Text(line)),
        // Ctrl-C gives up the line, Ctrl-D the session.
        Err(ReadlineError::Interrupted) => Ok(Line::Text(String::new())),
        Err(ReadlineError::Eof) => Ok(Line::End),
        Err(ReadlineError::Io(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn failed(error: ReadlineError) -> Failure {
    Failure::System { what: "cannot use the terminal".into(), error: io::Error::other(error) }
}

fn gone() -> io::Error {
    io::Error::other("the terminal is gone")
}
