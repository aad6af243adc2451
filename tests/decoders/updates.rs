//! Updates as the log carries them.

use chinwag::{
    chat::{
        AccountId, Body, ChangePassword, Command, ConversationName, CreateAccount, DeviceName,
        Expire, Fingerprint, Login, MarkId, MessageId, Proof, RequestId, RequestKey, ResetPassword,
        SendMessage, SessionId, Timestamp, TokenHash, Update, Username,
    },
    wire::update::{decode, encode},
};
use proptest::{collection::vec, option, prelude::*, sample::Index, test_runner::TestRunner};

use super::{Property, arbitrary::bytes, words};

pub(crate) const PROPERTIES: &[(&str, Property)] = &[
    ("no bytes break the log's decoder", garbage),
    ("every update is read as it was written", whole),
    ("a damaged update is refused or means one thing", damage),
];

fn username() -> impl Strategy<Value = Username> {
    "[a-z0-9][a-z0-9._-]{0,31}".prop_filter_map("a name", |text| Username::parse(&text).ok())
}

fn conversation() -> impl Strategy<Value = ConversationName> {
    ("[@#]", username()).prop_filter_map("a conversation", |(sort, name)| {
        ConversationName::parse(&format!("{sort}{}", name.as_str())).ok()
    })
}

fn body() -> impl Strategy<Value = Body> {
    "\\PC{1,80}".prop_filter_map("a body", |text| Body::parse(text).ok())
}

fn proof() -> impl Strategy<Value = Proof> {
    any::<([u8; 16], i64)>().prop_map(|(account, password_version)| Proof {
        account: AccountId(account),
        password_version,
    })
}

fn message_ids() -> impl Strategy<Value = Vec<MessageId>> {
    vec(any::<[u8; 16]>().prop_map(MessageId), 0..5)
}

fn create() -> impl Strategy<Value = Command> {
    (
        username(),
        "\\PC{0,90}",
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        option::of(proof()),
    )
        .prop_map(|(username, password_hash, account, session, token, proof)| {
            Command::CreateAccount(CreateAccount {
                username,
                password_hash,
                account: AccountId(account),
                session: SessionId(session),
                token: TokenHash(token),
                proof,
            })
        })
}

fn login() -> impl Strategy<Value = Command> {
    let device = "\\PC{0,30}".prop_filter_map("a device", |text| DeviceName::parse(text).ok());
    (username(), proof(), any::<[u8; 16]>(), any::<[u8; 32]>(), device).prop_map(
        |(username, proof, session, token, device_name)| {
            Command::Login(Login {
                username,
                proof,
                session: SessionId(session),
                token: TokenHash(token),
                device_name,
            })
        },
    )
}

fn send() -> impl Strategy<Value = Command> {
    (conversation(), body(), option::of(any::<[u8; 16]>().prop_map(MessageId))).prop_map(
        |(conversation, body, reply_to)| {
            Command::SendMessage(SendMessage { conversation, body, reply_to })
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        create(),
        login(),
        Just(Command::Logout),
        any::<[u8; 16]>().prop_map(|id| Command::EndSession(SessionId(id))),
        (option::of(proof()), "\\PC{0,90}").prop_map(|(proof, password_hash)| {
            Command::ChangePassword(ChangePassword { proof, password_hash })
        }),
        option::of(proof()).prop_map(Command::DeleteAccount),
        send(),
        message_ids().prop_map(Command::DeleteMessages),
        message_ids().prop_map(Command::AcknowledgeMessages),
        (conversation(), any::<i64>())
            .prop_map(|(conversation, seq)| Command::MarkRead { conversation, seq }),
        any::<[u8; 16]>().prop_map(|id| Command::TouchSession(SessionId(id))),
        any::<[u8; 16]>().prop_map(|id| Command::Mark(MarkId(id))),
        (any::<[u8; 16]>(), "\\PC{0,90}").prop_map(|(account, password_hash)| {
            let account = AccountId(account);
            Command::ResetPassword(ResetPassword { account, password_hash })
        }),
        any::<([u8; 16], bool)>().prop_map(|(account, disabled)| Command::SetDisabled {
            account: AccountId(account),
            disabled,
        }),
        any::<[u8; 16]>().prop_map(|id| Command::EndSessions(AccountId(id))),
        any::<(i64, i64, i64)>().prop_map(|(requests, deleted, idle)| {
            Command::Expire(Expire {
                requests_before: Timestamp(requests),
                deleted_before: Timestamp(deleted),
                idle_before: Timestamp(idle),
            })
        }),
    ]
}

fn update() -> impl Strategy<Value = Update> {
    let request = any::<([u8; 16], [u8; 32])>().prop_map(|(id, fingerprint)| RequestKey {
        id: RequestId(id),
        fingerprint: Fingerprint(fingerprint),
    });
    let session = any::<[u8; 16]>().prop_map(SessionId);
    (any::<i64>(), option::of(request), option::of(session), command()).prop_map(
        |(time, request, session, command)| Update {
            time: Timestamp(time),
            request,
            session,
            command,
        },
    )
}

fn garbage(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&bytes(), |bytes| {
        let _ = decode(&bytes);
        Ok(())
    }))
}

fn whole(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&update(), |update| {
        prop_assert_eq!(decode(&encode(&update)), Ok(update));
        Ok(())
    }))
}

fn damage(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&(update(), any::<Index>(), any::<u8>()), |(update, at, value)| {
        let mut bytes = encode(&update).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(read) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&read)), Ok(read));
        }
        Ok(())
    }))
}
