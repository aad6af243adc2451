//! The few calls about rooms that the benchmarks need.

use chinwag::wire::chat::{CreateRoomRequest, JoinRoomRequest};

use crate::harness::{User, request_id};

pub(crate) async fn create(owner: &User, room: String) {
    let request =
        CreateRoomRequest { request_id: request_id(), room, ..CreateRoomRequest::default() };
    let created = owner.call(|door| {
        let request = request.clone();
        async move { door.conversations().create_room(request).await }
    });
    created.await.expect("the name is free");
}

pub(crate) async fn join(member: &User, room: String) {
    let request = JoinRoomRequest { request_id: request_id(), room };
    let joined = member.call(|door| {
        let request = request.clone();
        async move { door.conversations().join_room(request).await }
    });
    joined.await.expect("a public room");
}
