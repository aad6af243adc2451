//! What each server said, an object each.

use serde_json::{Value, json};

use crate::{
    client::ServerAnswer,
    wire::chat::{GetStatusResponse, Role},
};

/// One server's answer, or why it has none.
pub(super) fn status(answer: &ServerAnswer) -> Value {
    let mut object = match &answer.status {
        Ok(status) => answered(status),
        Err(error) => json!({ "type": "status", "error": error }),
    };
    object["address"] = answer.address.clone().into();
    object
}

fn answered(status: &GetStatusResponse) -> Value {
    let servers: Vec<Value> = status
        .servers
        .iter()
        .map(|server| {
            json!({
                "server_id": server.server_id,
                "address": server.address,
                "role": role(server.role),
                "in_sync": server.in_sync,
                "applied_index": server.applied_index,
                "last_contact": server.last_contact,
                "copied_bytes": server.copied_bytes,
                "copy_bytes": server.copy_bytes,
            })
        })
        .collect();
    let diverged: Vec<Value> = status
        .diverged
        .iter()
        .map(|file| {
            json!({ "server_id": file.server_id, "path": file.path, "updates": file.updates })
        })
        .collect();
    json!({
        "type": "status",
        "server_id": status.server_id,
        "role": role(status.role),
        "leader_id": status.leader_id,
        "leader_address": status.leader_address,
        "epoch": status.epoch,
        "policy": status.policy,
        "servers": servers,
        "waiting_for": status.waiting_for,
        "forced_epochs": status.forced_epochs,
        "copies": status.copies,
        "degraded": status.degraded,
        "read_only": status.read_only,
        "diverged": diverged,
        "version": status.version,
        "note": status.note,
    })
}

fn role(role: i32) -> &'static str {
    Role::try_from(role).unwrap_or_default().as_str_name()
}
