//! The lines there are, as `/help` shows them. Completion, and the answer to a line that is written
//! wrongly, read them too: two blanks end the form.

/// The lines, each with what it does.
pub(in crate::cli) const HELP: &str = "\
/create USER              create an account (the password on the next line, or prompted for)
/login USER               log in
/logout                   end the session
/users [GLOB]             list accounts; * and ? in GLOB
/msg @USER|#ROOM TEXT     send a message; the conversation becomes the current one
TEXT                      send to the current conversation; @USER in it mentions somebody (// begins a text with a slash)
/inbox                    conversations with what is unread
/history @USER|#ROOM [N]  the newest messages
/read @USER|#ROOM         mark as read
/delete ID...             delete messages by the ids that /history shows
/edit ID TEXT             change a message of your own
/search [in:@USER|in:#ROOM] WORDS  find messages; \"a phrase\", the beg* of a word, from:USER
/rooms [GLOB]             public rooms, and your own
/join #ROOM               enter a public room; it becomes the current conversation
/leave #ROOM              leave a room
/who [#ROOM]              who is in it (in the current room; outside of rooms, who you are)
/room #ROOM [private] [TOPIC]  create a room, by invitation only if private
/invite @USER #ROOM       bring somebody into a room
/kick @USER #ROOM         take somebody out of your room
/topic #ROOM [TOPIC]      change what your room is about
/transfer #ROOM @USER     hand your room on to a member
/close-room #ROOM         close your room for everybody
/status                   how the servers are
/sessions                 where you are logged in
/end-session ID           log out one of these
/passwd                   change the password (the old and the new one on the next two lines, or prompted for)
/delete-account           end your account for good (the password on the next line, or prompted for)
/outbox [drop]            what is typed and not sent yet; drop forgets it
/wait [N] [SECONDS]       until N live messages came since the last /wait (1, 30 s)
/help                     this
/quit                     end";

/// The commands with their slashes, for completion.
pub(in crate::cli) fn names() -> impl Iterator<Item = &'static str> {
    let words = HELP.lines().filter_map(|line| line.split_whitespace().next());
    words.filter(|word| word.starts_with('/'))
}

/// How a known command is written, or that it is unknown.
pub(super) fn usage_of(name: &str) -> String {
    let of_it = |line: &&str| {
        line.strip_prefix('/').and_then(|line| line.split_whitespace().next()) == Some(name)
    };
    match HELP.lines().find(of_it) {
        Some(line) => {
            let form = line.split("  ").next().unwrap_or(line);
            format!("write it so: {form}")
        }
        None => match nearest(name) {
            Some(known) => format!("/{name} is unknown; did you mean {known}? /help lists them"),
            None => format!("/{name} is unknown; /help lists what there is"),
        },
    }
}

/// The command that a slip may have been meant for.
fn nearest(name: &str) -> Option<&'static str> {
    let distance = |known: &&str| distance(name, &known[1..]);
    names().min_by_key(distance).filter(|known| distance(known) <= 2 && name.len() > 2)
}

/// So many letters must be put in, taken out or changed to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, against) in other.chars().enumerate() {
            let change = diagonal + usize::from(letter != against);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[row.len() - 1]
}
