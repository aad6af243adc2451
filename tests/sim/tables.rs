//! The final tables against the model's: the lines that an inspection of a database shows, made of plain
//! maps.

use std::collections::BTreeSet;

use crate::model::{MMessage, Model};

/// What is wrong, if anything. Outcomes of requests are compared by their number alone: the answers to
/// repeats have shown the rest.
pub(crate) fn check(model: &Model, contents: &str) -> Result<(), String> {
    let shown: BTreeSet<&str> =
        contents.lines().filter(|line| !line.starts_with("request ")).map(without_rooms).collect();
    let right = lines(model);
    let right: BTreeSet<&str> = right.iter().map(String::as_str).collect();
    if let Some(line) = right.difference(&shown).next() {
        return Err(format!("I10: the tables lack: {line}"));
    }
    if let Some(line) = shown.difference(&right).next() {
        return Err(format!("I10: the tables hold what the log does not say: {line}"));
    }
    Ok(())
}

/// A line without what concerns rooms only, of which this model has none.
fn without_rooms(line: &str) -> &str {
    let of_rooms = match line.split(' ').next() {
        Some("conversation") => " owner=- ",
        Some("member") => " since ",
        _ => return line,
    };
    line.find(of_rooms).map_or(line, |at| &line[..at])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn or_none(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn lines(model: &Model) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let id = |account: u64| hex(&model.accounts[&account].id.0);
    for account in model.accounts.values() {
        lines.insert(format!(
            "account {} {} {} v{} at {} {} deleted={}",
            hex(&account.id.0),
            account.name,
            account.hash,
            account.version,
            account.changed,
            account.create_time,
            u8::from(account.gone.is_some())
        ));
    }
    for session in model.sessions.values() {
        lines.insert(format!(
            "session {} {} {} {} {} ended={}",
            hex(&session.id.0),
            model.accounts[&session.account].name,
            session.device,
            session.create_time,
            session.last_used,
            or_none(session.end_time)
        ));
    }
    for (token, session) in &model.tokens {
        lines.insert(format!("token {} {}", hex(token), hex(&model.sessions[session].id.0)));
    }
    for (other, key) in &model.message_aliases {
        let message = hex(&model.messages[key].id.0);
        lines.insert(format!("message alias {} {message}", hex(&other.0)));
    }
    for (other, key) in &model.account_aliases {
        lines.insert(format!("account alias {} {}", hex(&other.0), id(*key)));
    }
    for (name, key) in &model.old_names {
        lines.insert(format!("alias {name} {}", id(*key)));
    }
    for ((number, server), common) in &model.divergence {
        lines.insert(format!("divergence {number} {server} after {common}"));
    }
    for (token, session) in &model.ended_tokens {
        let session = hex(&model.sessions[session].id.0);
        lines.insert(format!("ended token {} {session}", hex(token)));
    }
    for ((low, high), conversation) in &model.conversations {
        let label = format!("{}+{}", id(*low), id(*high));
        lines.insert(format!(
            "conversation {label} kind=1  private=0 deleted={} last={} at {}",
            u8::from(conversation.over),
            conversation.messages.len(),
            conversation.touched
        ));
        for (account, read) in &conversation.read {
            let after: Vec<&MMessage> = conversation
                .messages
                .iter()
                .map(|key| &model.messages[key])
                .filter(|message| message.seq > *read)
                .collect();
            let own = after.iter().filter(|message| message.sender == *account).count();
            let gone = |message: &&&MMessage| {
                message.sender != *account
                    && (message.deleted.is_some() || message.hidden_from.contains(account))
            };
            let gone = after.iter().filter(gone).count();
            lines.insert(format!(
                "member {} of {label} joined=0 read={read} own={own} gone={gone} mentions=0",
                id(*account)
            ));
        }
    }
    for message in model.messages.values() {
        let label = format!("{}+{}", id(message.between.0), id(message.between.1));
        let gone = message.deleted.is_some() || message.purged;
        lines.insert(format!(
            "message {} {label} seq={} from {} re={} {} edited=- received={} deleted={} body={}",
            hex(&message.id.0),
            message.seq,
            id(message.sender),
            message.reply_to.map(|id| hex(&id.0)).unwrap_or_default(),
            message.create_time,
            or_none(message.received_time),
            u8::from(gone),
            if gone { String::new() } else { hex(message.body.as_bytes()) }
        ));
        for account in &message.hidden_from {
            lines.insert(format!("hidden {} from {}", hex(&message.id.0), id(*account)));
        }
        if let Some((by, time)) = message.deleted {
            lines.insert(format!(
                "deleted {} by {} {time} body={}",
                hex(&message.id.0),
                id(by),
                match model.accounts[&by].gone {
                    Some(_) => String::new(),
                    None => hex(message.body.as_bytes()),
                }
            ));
        }
    }
    lines
}
