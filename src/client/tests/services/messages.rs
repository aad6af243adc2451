//! Messages, and a search that looks at each.

use super::*;

#[async_trait]
impl MessageService for Node {
    type SendMessagesStream = BoxStream<SendMessagesResponse>;

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Answer<SendMessageResponse> {
        let body = request.get_ref().clone();
        self.answer("SendMessage", &body.request_id, |world| {
            let caller = world.caller(&request)?;
            let user = body.conversation.strip_prefix('@');
            let room = body.conversation.strip_prefix('#');
            let known = user.is_some_and(|name| world.passwords.contains_key(name))
                || room.is_some_and(|name| world.rooms.contains_key(name));
            if !known {
                return Err(refusal(Code::NotFound, "NO_SUCH_ACCOUNT", "there is no such account"));
            }
            if let Some(message) = world.outcomes.get(&body.request_id) {
                return Ok(SendMessageResponse { message: Some(message.clone()) });
            }
            let message = world.say(&caller, &body.conversation, &body.body);
            world.outcomes.insert(body.request_id.clone(), message.clone());
            Ok(SendMessageResponse { message: Some(message) })
        })
        .await
    }

    async fn send_messages(
        &self,
        _: Request<Streaming<SendMessagesRequest>>,
    ) -> Answer<Self::SendMessagesStream> {
        later()
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Answer<ListMessagesResponse> {
        self.answer("ListMessages", "", |world| {
            world.caller(&request)?;
            let body = request.get_ref();
            let of_it = world.messages.iter().filter(|m| m.conversation == body.conversation);
            let mut messages: Vec<Message> = of_it.cloned().collect();
            if let Some(list_messages_request::Position::AfterSeq(seq)) = body.position {
                // Two a page, so that paging shows.
                messages.retain(|message| message.seq > seq);
                let has_more = messages.len() > 2;
                messages.truncate(2);
                return Ok(ListMessagesResponse { messages, has_more });
            }
            let skip = messages.len().saturating_sub(body.page_size.max(1) as usize);
            Ok(ListMessagesResponse { messages: messages[skip..].to_vec(), has_more: skip > 0 })
        })
        .await
    }

    async fn edit_message(
        &self,
        request: Request<EditMessageRequest>,
    ) -> Answer<EditMessageResponse> {
        let body = request.get_ref().clone();
        self.answer("EditMessage", &body.request_id, |world| {
            let caller = world.caller(&request)?;
            let mut messages = world.messages.iter_mut();
            let Some(message) = messages.find(|m| m.message_id == body.message_id) else {
                return Err(refusal(Code::NotFound, "NO_SUCH_MESSAGE", "there is no such message"));
            };
            if message.sender != caller {
                let words = "only its author may edit a message";
                return Err(refusal(Code::PermissionDenied, "NOT_ALLOWED", words));
            }
            message.body = body.body.clone();
            message.edit_time = message.create_time;
            Ok(EditMessageResponse { message: Some(message.clone()) })
        })
        .await
    }

    async fn delete_messages(
        &self,
        request: Request<DeleteMessagesRequest>,
    ) -> Answer<DeleteMessagesResponse> {
        let body = request.get_ref().clone();
        self.answer("DeleteMessages", &body.request_id, |world| {
            world.caller(&request)?;
            let known = |id: &String| world.messages.iter().any(|m| m.message_id == *id);
            if !body.message_ids.iter().all(known) {
                return Err(refusal(Code::NotFound, "NO_SUCH_MESSAGE", "there is no such message"));
            }
            world.messages.retain(|m| !body.message_ids.contains(&m.message_id));
            Ok(DeleteMessagesResponse {})
        })
        .await
    }

    async fn acknowledge_messages(
        &self,
        request: Request<AcknowledgeMessagesRequest>,
    ) -> Answer<AcknowledgeMessagesResponse> {
        let body = request.get_ref().clone();
        self.answer("AcknowledgeMessages", &body.request_id, |world| {
            world.caller(&request)?;
            world.acknowledged.extend(body.message_ids);
            Ok(AcknowledgeMessagesResponse {})
        })
        .await
    }

    async fn search_messages(
        &self,
        request: Request<SearchMessagesRequest>,
    ) -> Answer<SearchMessagesResponse> {
        self.answer("SearchMessages", "", |world| {
            world.caller(&request)?;
            let body = request.get_ref();
            let fits = |message: &&Message| {
                message.body.contains(&body.query)
                    && (body.conversation.is_empty() || message.conversation == body.conversation)
            };
            let messages: Vec<Message> = world.messages.iter().filter(fits).cloned().collect();
            let snippets = messages.iter().map(|m| snippet(&m.body, &body.query)).collect();
            Ok(SearchMessagesResponse { messages, next_page_token: String::new(), snippets })
        })
        .await
    }
}

fn snippet(body: &str, found: &str) -> Snippet {
    let (before, after) = body.split_once(found).unwrap_or((body, ""));
    let parts = [(before, false), (found, true), (after, false)];
    let part = |(text, found): (&str, bool)| SnippetPart { text: text.into(), found };
    Snippet { parts: parts.map(part).into() }
}
