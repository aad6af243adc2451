"""A conversation across the death of the leader: everything arrives once and in order."""

from wire import PASSWORD, Cluster, Listener, ask, new_id

LINES = [f"line {number}" for number in range(30)]


def create(cluster, name):
    fields = {"request_id": new_id(), "username": name, "password": PASSWORD}
    answer = cluster.call("CreateAccount", **fields)
    assert answer.account.username == name, answer
    again = cluster.call("CreateAccount", **fields)
    assert again.account == answer.account, "a repeat answers with the same account"
    return again.session_token


def send(cluster, token, to, body):
    fields = {"request_id": new_id(), "conversation": to, "body": body}
    sent = cluster.call("SendMessage", token, **fields).message
    repeated = cluster.call("SendMessage", token, **fields).message
    assert repeated.message_id == sent.message_id, "a repeat answers with the same message"
    return sent


def history(cluster, token, conversation):
    messages = []
    while True:
        after = messages[-1].seq if messages else 0
        fields = {"conversation": conversation, "after_seq": after, "page_size": 7}
        page = cluster.call("ListMessages", token, **fields)
        messages.extend(page.messages)
        if not page.has_more:
            return messages


def main():
    cluster = Cluster()
    alice, bob = create(cluster, "alice"), create(cluster, "bob")
    listener = Listener(cluster, bob)
    for number, line in enumerate(LINES):
        if number == len(LINES) // 2:
            ask("kill the leader")
        assert send(cluster, alice, "@bob", line).seq == number + 1
    listener.kind("message_created", lambda message: message.body == LINES[-1])
    heard = [event.message_created for event in listener.events if event.HasField("message_created")]
    assert [message.body for message in heard] == LINES, heard
    assert [message.body for message in history(cluster, bob, "@alice")] == LINES
    print("all is well", flush=True)


if __name__ == "__main__":
    main()
