//! Reading rooms and their members page by page.

use crate::{
    client::{Client, Error},
    wire::chat::{Conversation, Member},
};

/// Public rooms and the user's own whose name matches a glob.
pub(super) async fn all(client: &Client, pattern: &str) -> Result<Vec<Conversation>, Error> {
    let (mut rooms, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.list_rooms(pattern, &token).await?;
        rooms.extend(page.conversations);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(rooms);
        }
    }
}

/// The members of a room.
pub(super) async fn members(client: &Client, room: &str) -> Result<Vec<Member>, Error> {
    let (mut members, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.list_members(room, &token).await?;
        members.extend(page.members);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(members);
        }
    }
}
