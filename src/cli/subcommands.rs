//! The commands of the command line. Their help, the manual pages and the shells' completions are made of
//! these definitions.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{manual::Manual, operate::Whom};

/// One command.
#[derive(Debug, Subcommand)]
pub enum Once {
    /// Create an account and log in as its user.
    Create {
        /// 1 to 32 of a-z 0-9 _ . - beginning with a letter or digit.
        username: String,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Log in; the session is kept for the next commands.
    Login {
        /// Whose password follows.
        username: String,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// End the kept session.
    Logout,
    /// List accounts.
    Users {
        /// A pattern of * and ?.
        #[arg(default_value = "")]
        pattern: String,
    },
    /// Send a message.
    Send {
        /// @USER or #ROOM; quote the latter, for shells take # for the begin of a comment.
        conversation: String,
        /// The text; several words are joined by spaces; - reads it from the standard input.
        #[arg(required_unless_present = "lines", conflicts_with = "lines")]
        text: Vec<String>,
        /// Every line of the standard input is a message; many are under way at the same time.
        #[arg(long)]
        lines: bool,
        /// Repeat a message whose outcome was unknown, under its request id; with --lines, the same input.
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
    /// List conversations with what is unread.
    Inbox,
    /// Show the newest messages of a conversation.
    History {
        /// @USER or #ROOM.
        conversation: String,
        /// How many.
        #[arg(default_value_t = super::command::USUAL_HISTORY)]
        count: u32,
    },
    /// Mark a conversation as read.
    Read {
        /// @USER or #ROOM.
        conversation: String,
    },
    /// Delete messages: own ones for everybody, received direct ones from the own inbox.
    Delete {
        /// Their ids, as history shows them.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Change a message of your own.
    Edit {
        /// Its id, as history shows it.
        id: String,
        /// The new text; - reads it from the standard input.
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Find messages, the best first.
    Search {
        /// Words, all of which must be there; '"a phrase"'; 'beg*' for words that begin so; from:USER.
        #[arg(required = true)]
        words: Vec<String>,
        /// Search this conversation alone.
        #[arg(long = "in", value_name = "@USER|#ROOM")]
        conversation: Option<String>,
    },
    /// List public rooms, and your own.
    Rooms {
        /// A pattern of * and ?.
        #[arg(default_value = "")]
        pattern: String,
    },
    /// Create a room that you own.
    Room {
        /// Its name, with or without #.
        room: String,
        /// What it is about.
        topic: Vec<String>,
        /// By invitation only.
        #[arg(long)]
        private: bool,
    },
    /// Enter a public room.
    Join {
        /// Its name, with or without #.
        room: String,
    },
    /// Leave a room; its owner hands it on first, or closes it.
    Leave {
        /// Its name, with or without #.
        room: String,
    },
    /// List a room's members; without a room, say who you are.
    Who {
        /// Its name, with or without #.
        room: Option<String>,
    },
    /// Bring somebody into a room.
    Invite {
        /// Whom.
        username: String,
        /// Its name, with or without #.
        room: String,
    },
    /// Take somebody out of your room.
    Kick {
        /// Whom.
        username: String,
        /// Its name, with or without #.
        room: String,
    },
    /// Change what your room is about.
    Topic {
        /// Its name, with or without #.
        room: String,
        /// The new topic; none is none.
        topic: Vec<String>,
    },
    /// Hand your room on to a member.
    Transfer {
        /// Its name, with or without #.
        room: String,
        /// The new owner.
        username: String,
    },
    /// Close your room for everybody.
    CloseRoom {
        /// Its name, with or without #.
        room: String,
    },
    /// Show how the servers are.
    Status {
        /// Look again and again, every two seconds if nothing else is said; q, Ctrl-C or the end of the input ends
        /// it.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3_600))]
        watch: Option<u64>,
    },
    /// Print what happens as it happens, until it is interrupted.
    Tail {
        /// Begin after this cursor; --json shows cursors.
        #[arg(long, value_name = "CURSOR", default_value = "")]
        after: String,
        /// End after so many messages.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        /// Run a command for every event, which comes as one line of JSON on its standard input. Only when
        /// it has ended with 0 the event counts as handled; else tail ends and prints the cursor before it.
        #[arg(long, value_name = "CMD")]
        exec: Option<String>,
    },
    /// Write everything that you may see as JSON lines: account, conversations, members, messages.
    ///
    /// The last line is of type "exported"; without it the export is not whole.
    Export,
    /// List where you are logged in.
    Sessions,
    /// Log out one of your sessions.
    EndSession {
        /// Its id, as sessions shows it.
        id: String,
    },
    /// Change the password; your other sessions end.
    Passwd {
        /// Where the old password comes from; the new one is on the next line of the standard input.
        #[command(flatten)]
        password: PasswordSource,
        /// Read the new password from the first line of a file.
        #[arg(long, value_name = "FILE", requires = "password_file")]
        new_password_file: Option<PathBuf>,
    },
    /// End your account for good: its sessions end, and its inbox is gone.
    DeleteAccount {
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Write a backup of the whole cluster into a new file. Run it on a server's machine, as its user.
    ///
    /// It is taken from a running server and holds everything that was acknowledged before; `server
    /// restore` takes it. It holds everybody's messages, and nobody but you may read it.
    Backup {
        /// The new file.
        file: PathBuf,
        /// Which server is asked.
        #[command(flatten)]
        whom: Whom,
    },
    /// Read the tables of all servers that are in sync at one place in the log, and compare them. Run it on a
    /// server's machine, as its user.
    ///
    /// Ends with 0 if they hold the same, and with 1 if they differ or a database file is damaged; the
    /// first difference is named by its table and key. Chatting goes on meanwhile.
    Verify {
        /// Which server is asked.
        #[command(flatten)]
        whom: Whom,
    },
    /// Let another server lead, which is in sync. Run it on a server's machine, as its user.
    Lead {
        /// The server's ID.
        server: u32,
        /// Which server is asked.
        #[command(flatten)]
        whom: Whom,
    },
    /// Print what makes a shell complete these commands.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man(Manual),
}

impl Once {
    /// Whether it is done over a server's own socket, by whoever runs that server.
    pub(super) fn is_an_operators(&self) -> bool {
        matches!(self, Once::Backup { .. } | Once::Verify { .. } | Once::Lead { .. })
    }
}

/// A shell whose completions can be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Shell {
    /// Bash, with bash-completion.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

/// Where a password comes from; prompted for when nothing is said.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Read the password from the first line of a file.
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the standard input: its first line.
    #[arg(long)]
    pub password_stdin: bool,
}
