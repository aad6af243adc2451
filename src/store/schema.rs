//! The tables as Diesel knows them; a test holds them against the migrated database. The migrations
//! say what each column means.

use diesel::{allow_tables_to_appear_in_same_query, table};

table! {
    accounts (id) {
        id -> BigInt,
        account_id -> Binary,
        username -> Text,
        password_hash -> Text,
        password_version -> BigInt,
        create_time -> BigInt,
        deleted -> Bool,
        password_position -> BigInt,
        disabled_changes -> BigInt,
    }
}

table! {
    aliases (old_name, account) {
        old_name -> Text,
        account -> BigInt,
    }
}

table! {
    account_aliases (account_id) {
        account_id -> Binary,
        account -> BigInt,
    }
}

table! {
    sessions (id) {
        id -> BigInt,
        session_id -> Binary,
        account -> BigInt,
        device_name -> Text,
        create_time -> BigInt,
        last_used -> BigInt,
        end_time -> Nullable<BigInt>,
    }
}

table! {
    session_tokens (token_hash) {
        token_hash -> Binary,
        session -> BigInt,
    }
}

table! {
    ended_tokens (token_hash) {
        token_hash -> Binary,
        session -> BigInt,
    }
}

table! {
    conversations (id) {
        id -> BigInt,
        kind -> BigInt,
        low_account -> Nullable<BigInt>,
        high_account -> Nullable<BigInt>,
        name -> Nullable<Text>,
        topic -> Text,
        private -> Bool,
        owner -> Nullable<BigInt>,
        create_time -> BigInt,
        deleted -> Bool,
        last_seq -> BigInt,
        last_position -> BigInt,
        room_id -> Nullable<Binary>,
        open_seq -> BigInt,
        room_position -> BigInt,
        delete_time -> Nullable<BigInt>,
        purged_seq -> BigInt,
        forsaken -> Bool,
    }
}

table! {
    members (account, conversation) {
        account -> BigInt,
        conversation -> BigInt,
        joined_seq -> BigInt,
        join_time -> BigInt,
        read_seq -> BigInt,
        read_position -> BigInt,
        own_after -> BigInt,
        gone_after -> BigInt,
        mentions_after -> BigInt,
        join_position -> BigInt,
    }
}

table! {
    membership_changes (account, conversation) {
        account -> BigInt,
        conversation -> BigInt,
        position -> BigInt,
        member -> Bool,
    }
}

table! {
    room_aliases (room_id) {
        room_id -> Binary,
        conversation -> BigInt,
    }
}

table! {
    mentions (account, conversation, seq) {
        account -> BigInt,
        conversation -> BigInt,
        seq -> BigInt,
        message -> BigInt,
    }
}

table! {
    messages (id) {
        id -> BigInt,
        message_id -> Binary,
        conversation -> BigInt,
        seq -> BigInt,
        sender -> BigInt,
        body -> Text,
        reply_to -> Nullable<Binary>,
        create_time -> BigInt,
        edit_time -> Nullable<BigInt>,
        received_time -> Nullable<BigInt>,
        deleted -> Bool,
        change_position -> Nullable<BigInt>,
        edit_position -> Nullable<BigInt>,
    }
}

table! {
    message_aliases (message_id) {
        message_id -> Binary,
        message -> BigInt,
    }
}

table! {
    changes (conversation, position, message) {
        conversation -> BigInt,
        position -> BigInt,
        message -> BigInt,
        viewer -> Nullable<BigInt>,
    }
}

table! {
    hidden (account, message) {
        account -> BigInt,
        message -> BigInt,
    }
}

table! {
    deleted_messages (message) {
        message -> BigInt,
        body -> Nullable<Text>,
        deleted_by -> BigInt,
        delete_time -> BigInt,
    }
}

table! {
    requests (position) {
        position -> BigInt,
        request_id -> Binary,
        scope -> Binary,
        call -> BigInt,
        fingerprint -> Binary,
        outcome -> Nullable<Binary>,
        time -> BigInt,
    }
}

table! {
    divergence (epoch_number, epoch_server) {
        epoch_number -> BigInt,
        epoch_server -> BigInt,
        common_seq -> BigInt,
        position -> BigInt,
    }
}

table! {
    log (seq) {
        seq -> BigInt,
        epoch_number -> BigInt,
        epoch_server -> BigInt,
        kind -> BigInt,
        payload -> Binary,
        hash -> Binary,
    }
}

table! {
    epochs (first_seq) {
        first_seq -> BigInt,
        number -> BigInt,
        server -> BigInt,
    }
}

table! {
    views (seq) {
        seq -> BigInt,
        payload -> Binary,
    }
}

table! {
    meta (id) {
        id -> BigInt,
        lineage -> Binary,
        digest -> Binary,
        first_seq -> BigInt,
        last_seq -> BigInt,
        last_epoch_number -> BigInt,
        last_epoch_server -> BigInt,
        last_hash -> Binary,
    }
}

table! {
    body_changes (position, message) {
        position -> BigInt,
        message -> BigInt,
    }
}

allow_tables_to_appear_in_same_query!(
    accounts,
    aliases,
    sessions,
    session_tokens,
    conversations,
    members,
    membership_changes,
    mentions,
    messages,
    changes,
    hidden,
    deleted_messages,
);
