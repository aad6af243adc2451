"""Every call of the contract, what it answers and how it refuses, by a client made of the protos alone.

At the end it compares what it called with the protos, and the reasons that it met with the contract's table:
who adds a call adds its check.
"""

import time

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from wire import METHODS, PASSWORD, Cluster, Listener, ask, details, error_info, new_id

Code = grpc.StatusCode
NEW_PASSWORD = "another horse battery"
# What the table names and this script cannot bring about; the project's own tests do.
ELSEWHERE = {"OUTCOME_UNKNOWN", "STORAGE_FULL", "SHUTTING_DOWN", "NO_QUORUM", "RATE_LIMITED"}
TABLE = {
    "NOT_LEADER",
    "NO_LEADER",
    "NAME_TAKEN",
    "NO_SUCH_ACCOUNT",
    "NO_SUCH_ROOM",
    "NO_SUCH_MESSAGE",
    "BAD_CREDENTIALS",
    "NO_SESSION",
    "NOT_ALLOWED",
    "REQUEST_ID_REUSED",
} | ELSEWHERE

called, met = set(), set()


class Person:
    """An account at a device."""

    def __init__(self, cluster, name, token):
        self.cluster, self.name, self.token = cluster, name, token

    @staticmethod
    def create(cluster, name):
        called.add("CreateAccount")
        answer = cluster.call("CreateAccount", username=name, password=PASSWORD)
        assert answer.account.username == name and answer.account.create_time.seconds > 0, answer
        return Person(cluster, name, answer.session_token)

    def __getattr__(self, name):
        if name not in METHODS:
            raise AttributeError(name)

        def call(**fields):
            called.add(name)
            return self.cluster.call(name, self.token, **fields)

        return call

    def send(self, to, body, **fields):
        return self.SendMessage(conversation=to, body=body, **fields).message

    def history(self, conversation, **fields):
        return list(self.ListMessages(conversation=conversation, **fields).messages)


def refused(code, reason, call, *arguments, **fields):
    """The call is refused so; returns the error."""
    try:
        call(*arguments, **fields)
    except grpc.RpcError as error:
        found = (error.code(), error_info(error)[0])
        assert found == (code, reason), f"expected {code}, {reason}; found {found}: {error}"
        assert error.details(), "it says what to do"
        met.add(reason)
        return error
    raise AssertionError(f"expected {code}, {reason}; it was accepted")


def bad_field(field, call, **fields):
    """The call is refused for this field, with what it may be."""
    error = refused(Code.INVALID_ARGUMENT, "BAD_FIELD", call, **fields)
    violations = details(error, error_details_pb2.BadRequest).field_violations
    assert [one.field for one in violations] == [field] and violations[0].description, violations


def stream(alice):
    """Many messages over one stream, each answered by its request id."""
    bodies = [f"number {number}" for number in range(500)] + [""]
    requests = [{"request_id": new_id(), "conversation": "@alice", "body": body} for body in bodies]
    again = {"request_id": new_id(), "conversation": "@alice", "body": "again"}
    called.add("SendMessages")
    answers = alice.cluster.stream("SendMessages", alice.token, requests + [again, again])
    assert [one.request_id for one in answers[:501]] == [one["request_id"] for one in requests]
    assert [one.message.body for one in answers[:500]] == bodies[:500]
    seqs = [one.message.seq for one in answers[:500]]
    assert seqs == list(range(1, 501)), seqs
    error = answers[500].error
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT.value[0], "BAD_FIELD"), error
    assert error.message, "it says what to do"
    assert answers[501] == answers[502] and answers[501].message.body == "again", answers[501:]


def accounts(cluster, alice, bob):
    assert alice.GetAccount().account.username == "alice"
    assert [one.username for one in alice.ListAccounts(pattern="a*").accounts] == ["alice"]
    first = alice.ListAccounts(page_size=1)
    second = alice.ListAccounts(page_size=1, page_token=first.next_page_token)
    assert [first.accounts[0].username, second.accounts[0].username] == ["alice", "bob"]
    taken = {"username": "BOB", "password": PASSWORD}
    refused(Code.ALREADY_EXISTS, "NAME_TAKEN", cluster.call, "CreateAccount", **taken)
    for field, value in (("username", "no spaces"), ("password", "short"), ("request_id", "one")):
        fields = {"username": "carol", "password": PASSWORD, field: value}
        bad_field(field, lambda **fields: cluster.call("CreateAccount", **fields), **fields)
    bad_field("page_size", alice.ListAccounts, page_size=-1)
    bad_field("page_token", alice.ListAccounts, page_token="made up")
    nobody = Person(cluster, "", "")
    refused(Code.UNAUTHENTICATED, "NO_SESSION", nobody.GetAccount)
    refused(Code.UNAUTHENTICATED, "NO_SESSION", Person(cluster, "", "made-up").GetAccount)


def sessions(cluster, bob):
    def login(name="bob", password=PASSWORD, **fields):
        called.add("Login")
        return cluster.call("Login", username=name, password=password, **fields)

    request_id = new_id()
    answer = login(request_id=request_id, device_name="phone")
    again = login(request_id=request_id, device_name="phone")
    phone = Person(cluster, "bob", again.session_token)
    assert answer.account == again.account
    refused(Code.UNAUTHENTICATED, "BAD_CREDENTIALS", login, password="a wrong password")
    refused(Code.UNAUTHENTICATED, "BAD_CREDENTIALS", login, name="nobody")

    listed = bob.ListSessions().sessions
    assert sorted(one.device_name for one in listed) == ["", "phone"], listed
    assert [one.current for one in listed].count(True) == 1, listed
    end = next(one.session_id for one in listed if one.device_name == "phone")
    bob.EndSession(session_id=end)
    refused(Code.UNAUTHENTICATED, "NO_SESSION", phone.GetAccount)
    bad_field("session_id", bob.EndSession, session_id="one")

    tablet = Person(cluster, "bob", login().session_token)
    request_id = new_id()
    tablet.Logout(request_id=request_id)
    tablet.Logout(request_id=request_id)
    refused(Code.UNAUTHENTICATED, "NO_SESSION", tablet.GetAccount)

    other = Person(cluster, "bob", login().session_token)
    wrong = {"old_password": NEW_PASSWORD, "new_password": PASSWORD}
    refused(Code.UNAUTHENTICATED, "BAD_CREDENTIALS", bob.ChangePassword, **wrong)
    bad_field("new_password", bob.ChangePassword, old_password=PASSWORD, new_password="short")
    bob.ChangePassword(old_password=PASSWORD, new_password=NEW_PASSWORD)
    refused(Code.UNAUTHENTICATED, "NO_SESSION", other.GetAccount)
    refused(Code.UNAUTHENTICATED, "BAD_CREDENTIALS", login)
    login(password=NEW_PASSWORD)
    bob.ChangePassword(old_password=NEW_PASSWORD, new_password=PASSWORD)


def messages(alice, bob, carol):
    listener = Listener(alice.cluster, bob.token)
    called.add("Subscribe")
    sent = [alice.send("@bob", f"line {number}") for number in range(5)]
    assert [one.seq for one in sent] == [1, 2, 3, 4, 5]
    assert [one.body for one in bob.history("@alice")] == [one.body for one in sent]
    assert [one.seq for one in bob.history("@alice", before_seq=4, page_size=2)] == [2, 3]
    assert [one.seq for one in bob.history("@alice", after_seq=3)] == [4, 5]
    assert 3 in [one.seq for one in bob.history("@alice", around_seq=3, page_size=3)]
    answer = bob.send("@alice", "yes", reply_to=sent[0].message_id)
    assert answer.reply_to == sent[0].message_id
    listener.kind("message_created", lambda message: message.body == "yes")

    request_id = new_id()
    fields = {"request_id": request_id, "conversation": "@bob"}
    once = alice.SendMessage(body="once", **fields).message
    assert alice.SendMessage(body="once", **fields).message == once
    refused(Code.INVALID_ARGUMENT, "REQUEST_ID_REUSED", alice.SendMessage, body="twice", **fields)
    bad_field("body", alice.SendMessage, conversation="@bob", body="")
    bad_field("body", alice.SendMessage, conversation="@bob", body="x" * 16_385)
    bad_field("conversation", alice.SendMessage, conversation="bob", body="hi")
    refused(Code.NOT_FOUND, "NO_SUCH_ACCOUNT", alice.send, "@nobody", "hi")
    refused(Code.NOT_FOUND, "NO_SUCH_ROOM", alice.send, "#nowhere", "hi")

    stream(alice)

    edited = alice.EditMessage(message_id=once.message_id, body="edited").message
    assert edited.body == "edited" and edited.edit_time.seconds > 0
    listener.kind("message_changed", lambda message: message.body == "edited")
    fields = {"message_id": once.message_id, "body": "mine"}
    refused(Code.PERMISSION_DENIED, "NOT_ALLOWED", bob.EditMessage, **fields)
    refused(Code.NOT_FOUND, "NO_SUCH_MESSAGE", carol.EditMessage, **fields)

    bob.AcknowledgeMessages(message_ids=[once.message_id])
    shown = alice.history("@bob", around_seq=once.seq, page_size=1)[0]
    assert shown.received_time.seconds > 0, shown
    unknown = {"message_ids": [new_id()]}
    refused(Code.NOT_FOUND, "NO_SUCH_MESSAGE", bob.AcknowledgeMessages, **unknown)

    alice.DeleteMessages(message_ids=[once.message_id])
    listener.kind("message_deleted", lambda message: message.message_id == once.message_id)
    shown = bob.history("@alice", around_seq=once.seq, page_size=1)[0]
    assert shown.deleted and not shown.body, shown
    refused(Code.NOT_FOUND, "NO_SUCH_MESSAGE", bob.DeleteMessages, **unknown)

    inbox = bob.ListConversations().conversations
    assert [one.conversation for one in inbox] == ["@alice"] and inbox[0].unread_count == 5, inbox
    assert bob.MarkRead(conversation="@alice", seq=3).read_seq == 3
    assert bob.MarkRead(conversation="@alice", seq=1).read_seq == 3, "only ever forward"
    moved = listener.kind("read_moved")
    assert (moved.conversation, moved.read_seq) == ("@alice", 3), moved
    assert bob.ListConversations().conversations[0].unread_count == 2


def rooms(alice, bob, carol):
    listener = Listener(alice.cluster, bob.token)
    made = alice.CreateRoom(room="general", topic="all of it").conversation
    assert (made.conversation, made.topic, made.owner) == ("#general", "all of it", "alice"), made
    refused(Code.ALREADY_EXISTS, "NAME_TAKEN", bob.CreateRoom, room="General")
    bad_field("room", bob.CreateRoom, room="no spaces")
    bob.JoinRoom(room="general")
    change = listener.kind("membership_changed")
    assert (change.conversation, change.username, change.member) == ("#general", "bob", True)
    refused(Code.PERMISSION_DENIED, "NOT_ALLOWED", carol.send, "#general", "hi")
    alice.AddMember(room="general", username="carol")
    names = [one.username for one in alice.ListMembers(room="general").members]
    assert sorted(names) == ["alice", "bob", "carol"], names
    said = alice.send("#general", "hello @bob")
    assert list(said.mentions) == ["bob"], said
    room = next(one for one in bob.ListConversations().conversations if one.conversation == "#general")
    assert (room.unread_count, room.mention_count) == (1, 1), room
    alice.RemoveMember(room="general", username="carol")
    refused(Code.PERMISSION_DENIED, "NOT_ALLOWED", bob.UpdateRoom, room="general", topic="mine")
    alice.UpdateRoom(room="general", topic="news")
    listener.kind("room_changed", lambda room: room.topic == "news")
    refused(Code.PERMISSION_DENIED, "NOT_ALLOWED", alice.LeaveRoom, room="general")
    refused(Code.NOT_FOUND, "NO_SUCH_ACCOUNT", alice.TransferRoom, room="general", username="nobody")
    alice.TransferRoom(room="general", username="bob")
    alice.LeaveRoom(room="general")
    assert [one.owner for one in alice.ListRooms(pattern="gen*").conversations] == ["bob"]

    bob.CreateRoom(room="secret", private=True)
    hidden = bob.send("#secret", "nobody else sees this")
    assert not alice.ListRooms(pattern="secret").conversations
    for call in (alice.JoinRoom, alice.ListMembers, alice.LeaveRoom):
        refused(Code.NOT_FOUND, "NO_SUCH_ROOM", call, room="secret")
    refused(Code.NOT_FOUND, "NO_SUCH_ROOM", alice.history, "#secret")
    fields = {"message_id": hidden.message_id, "body": "mine"}
    refused(Code.NOT_FOUND, "NO_SUCH_MESSAGE", alice.EditMessage, **fields)
    bob.DeleteRoom(room="secret")
    refused(Code.NOT_FOUND, "NO_SUCH_ROOM", bob.history, "#secret")


def search(alice, bob, carol):
    said = alice.send("@bob", "the quick brown fox")
    end = time.monotonic() + 30
    while True:
        found = bob.SearchMessages(query="quick fox").messages
        if found or time.monotonic() > end:
            break
        time.sleep(0.05)
    assert [one.message_id for one in found] == [said.message_id], found
    assert not bob.SearchMessages(query="quick zebra").messages
    assert bob.SearchMessages(query='"brown fox"', conversation="@alice").messages
    assert bob.SearchMessages(query="qui*").messages
    assert bob.SearchMessages(query="quick from:alice").messages
    assert not bob.SearchMessages(query="quick from:bob").messages
    assert not carol.SearchMessages(query="quick").messages, "only the own conversations"
    bad_field("query", bob.SearchMessages, query="")


def signs(alice, bob):
    listener = Listener(alice.cluster, bob.token)
    alice.SetTyping(conversation="@bob")
    typing = listener.kind("typing")
    assert (typing.conversation, typing.username) == ("@alice", "alice"), typing
    alice.SetPresence(online=True)
    assert listener.kind("presence", lambda one: one.username == "alice").online
    listener.kind("heartbeat")


def deletion(cluster, alice):
    dave = Person.create(cluster, "dave")
    dave.send("@alice", "goodbye")
    wrong = {"password": "a wrong password"}
    refused(Code.UNAUTHENTICATED, "BAD_CREDENTIALS", dave.DeleteAccount, **wrong)
    request_id = new_id()
    dave.DeleteAccount(request_id=request_id, password=PASSWORD)
    dave.DeleteAccount(request_id=request_id, password=PASSWORD)
    refused(Code.UNAUTHENTICATED, "NO_SESSION", dave.GetAccount)
    refused(Code.NOT_FOUND, "NO_SUCH_ACCOUNT", alice.send, "@dave", "are you there?")
    inbox = [one.conversation for one in alice.ListConversations().conversations]
    gone = [name for name in inbox if name.startswith("@~")]
    assert len(gone) == 1 and "@dave" not in inbox, inbox
    assert [one.body for one in alice.history(gone[0])] == ["goodbye"]
    Person.create(cluster, "dave")


def servers(cluster, alice):
    called.add("GetStatus")
    status = cluster.call("GetStatus")
    assert len(status.servers) == len(cluster.addresses) and status.version, status
    answer, trailers = cluster.once("GetAccount", alice.token)
    assert trailers["chinwag-epoch"] and int(trailers["chinwag-copies"]) == 3, trailers
    leader = cluster.current
    follower = next(address for address in cluster.addresses if address != leader)
    error = refused(
        Code.UNAVAILABLE, "NOT_LEADER", cluster.once, "GetAccount", alice.token, address=follower
    )
    assert error_info(error)[1]["leader_address"] == leader
    assert details(error, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() > 0

    def health(address, service):
        stub = health_pb2_grpc.HealthStub(cluster.channels[address])
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=2).status

    serving, service = health_pb2.HealthCheckResponse.SERVING, "chinwag.chat.v1.MessageService"
    assert [health(address, "") for address in (leader, follower)] == [serving, serving]
    assert health(leader, service) == serving and health(follower, service) != serving
    reflected = ProtoReflectionDescriptorDatabase(cluster.channels[leader]).get_services()
    wanted = {method.containing_service.full_name for _, method in METHODS.values()}
    assert wanted <= set(reflected), reflected


def without_a_leader(cluster, alice):
    ask("leave one server that waits")
    end = time.monotonic() + 30
    while True:
        for address in cluster.addresses:
            try:
                cluster.once("GetAccount", alice.token, address=address)
            except grpc.RpcError as error:
                if error_info(error)[0] == "NO_LEADER":
                    met.add("NO_LEADER")
                    assert details(error, error_details_pb2.RetryInfo) is not None
                    return
        assert time.monotonic() < end, "a server that waits says so"
        time.sleep(0.05)


def main():
    cluster = Cluster()
    alice, bob, carol = (Person.create(cluster, name) for name in ("alice", "bob", "carol"))
    accounts(cluster, alice, bob)
    sessions(cluster, bob)
    messages(alice, bob, carol)
    rooms(alice, bob, carol)
    search(alice, bob, carol)
    signs(alice, bob)
    deletion(cluster, alice)
    servers(cluster, alice)
    without_a_leader(cluster, alice)
    assert called == set(METHODS), set(METHODS) ^ called
    assert met - {"BAD_FIELD"} == TABLE - ELSEWHERE, (met - {"BAD_FIELD"}) ^ (TABLE - ELSEWHERE)
    print("all is well", flush=True)


if __name__ == "__main__":
    main()
