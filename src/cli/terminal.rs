//! A person at a terminal: a line editor with a history, passwords that are not shown, and messages that
//! arrive above the line that is being typed.
//!
//! The editor blocks, so it has a thread of its own, which does one thing at a time as it is asked to.
//! It ends with the session: when nobody can ask any more.

use std::{io, path::PathBuf, thread};

use rustyline::{
    CompletionType, Config, Context, Editor, ExternalPrinter, Helper, completion::Completer,
    error::ReadlineError, highlight::Highlighter, hint::Hinter, history::DefaultHistory,
    validate::Validator,
};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{
    command,
    console::{Console, Line},
    exit::Failure,
};

/// So many typed lines are remembered.
const HISTORY: usize = 1_000;

/// The editor with what it completes.
type LineEditor = Editor<Commands, DefaultHistory>;

/// A terminal.
pub(super) struct Terminal {
    ask: mpsc::Sender<Ask>,
    typed: mpsc::Receiver<Typed>,
    /// Whether a line was asked for and has not come yet.
    reading: bool,
    printer: Box<dyn ExternalPrinter + Send>,
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
    pub(super) fn open(history: Option<PathBuf>) -> Result<Terminal, Failure> {
        let config = Config::builder().max_history_size(HISTORY).map_err(failed)?;
        let config = config.auto_add_history(true).completion_type(CompletionType::List).build();
        let mut editor = LineEditor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Commands));
        if let Some(path) = &history {
            // At the first start there is none.
            let _ = editor.load_history(path);
        }
        let printer = Box::new(editor.create_external_printer().map_err(failed)?);
        let (ask, asked) = mpsc::channel(1);
        let (type_, typed) = mpsc::channel(1);
        thread::Builder::new()
            .name("terminal".into())
            .spawn(move || serve(editor, history, asked, type_))
            .map_err(|error| Failure::System { what: "cannot read lines".into(), error })?;
        Ok(Terminal { ask, typed, reading: false, printer })
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
        let dim = anstyle::Style::new().dimmed();
        self.print(format!("{dim}* {text}{dim:#}\n"))
    }
}

/// Does what it is asked for until nobody can ask any more.
fn serve(
    mut editor: LineEditor,
    history: Option<PathBuf>,
    mut asked: mpsc::Receiver<Ask>,
    typed: mpsc::Sender<Typed>,
) {
    while let Some(ask) = asked.blocking_recv() {
        let answer = match ask {
            Ask::Line(prompt) => Typed::Line(read(&mut editor, &prompt)),
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

fn read(editor: &mut LineEditor, prompt: &str) -> io::Result<Line> {
    match editor.readline(prompt) {
        Ok(line) => Ok(Line::Text(line)),
        // Ctrl-C gives up the line, Ctrl-D the session.
        Err(ReadlineError::Interrupted) => Ok(Line::Text(String::new())),
        Err(ReadlineError::Eof) => Ok(Line::End),
        Err(ReadlineError::Io(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Completes the names of commands.
struct Commands;

impl Completer for Commands {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let names = command::names().filter(|name| name.starts_with(typed));
        Ok((
            0,
            if typed.is_empty() { Vec::new() } else { names.map(|n| format!("{n} ")).collect() },
        ))
    }
}

impl Hinter for Commands {
    type Hint = String;
}

impl Highlighter for Commands {}
impl Validator for Commands {}
impl Helper for Commands {}

fn failed(error: ReadlineError) -> Failure {
    Failure::System { what: "cannot use the terminal".into(), error: io::Error::other(error) }
}

fn gone() -> io::Error {
    io::Error::other("the terminal is gone")
}
