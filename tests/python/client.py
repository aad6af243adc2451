"""A client that knows nothing of Chinwag but its protos and its contract.

Started by the test with the folder of the generated stubs and the servers' addresses. It creates two
accounts, sends, lists and subscribes, asks the test on stdout to kill the leader, goes on at the next
one, and ends with 0 if every message arrived once and in order.
"""

import sys
import time
import uuid

STUBS, ADDRESSES = sys.argv[1], sys.argv[2:]
sys.path.insert(0, STUBS)

import grpc  # noqa: E402
from google.rpc import error_details_pb2  # noqa: E402
from grpc_status import rpc_status  # noqa: E402

from chinwag.chat.v1 import account_pb2, account_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import cluster_pb2, cluster_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import event_pb2, event_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import message_pb2, message_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import session_pb2, session_pb2_grpc  # noqa: E402

PASSWORD = "correct horse battery"
DEADLINE_SECONDS = 30
UNKNOWN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
}


def error_info(error):
    """The reason and the metadata of a refusal."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason, dict(info.metadata)
    return "", {}


class Cluster:
    """Every server, and the one that is believed to lead."""

    def __init__(self, addresses):
        self.channels = {address: grpc.insecure_channel(address) for address in addresses}
        self.addresses = list(addresses)
        self.current = addresses[0]

    def call(self, stub, method, request, token=None):
        """Calls until there is a definite answer; follows the leader's address where one is given."""
        end = time.monotonic() + DEADLINE_SECONDS
        metadata = [("authorization", f"Bearer {token}")] if token else []
        while True:
            try:
                bound = getattr(stub(self.channels[self.current]), method)
                return bound(request, metadata=metadata, timeout=2)
            except grpc.RpcError as error:
                if error.code() not in UNKNOWN or time.monotonic() > end:
                    raise
                self.rotate(error_info(error)[1].get("leader_address"))
                time.sleep(0.01)

    def rotate(self, hint=None):
        """Goes to the server that is said to lead, or else to the next one."""
        if hint in self.channels and hint != self.current:
            self.current = hint
        else:
            index = (self.addresses.index(self.current) + 1) % len(self.addresses)
            self.current = self.addresses[index]

    def subscribe(self, token, cursor):
        """An open stream; whoever reads it rotates when it breaks."""
        stub = event_pb2_grpc.EventServiceStub(self.channels[self.current])
        request = event_pb2.SubscribeRequest(cursor=cursor)
        return stub.Subscribe(request, metadata=[("authorization", f"Bearer {token}")])


def create(cluster, name):
    request = account_pb2.CreateAccountRequest(
        request_id=str(uuid.uuid4()), username=name, password=PASSWORD
    )
    stub = account_pb2_grpc.AccountServiceStub
    answer = cluster.call(stub, "CreateAccount", request)
    assert answer.account.username == name, answer
    again = cluster.call(stub, "CreateAccount", request)
    assert again.account == answer.account, "a repeat answers with the same account"
    return again.session_token


def send(cluster, token, to, body):
    request = message_pb2.SendMessageRequest(
        request_id=str(uuid.uuid4()), conversation=to, body=body
    )
    stub = message_pb2_grpc.MessageServiceStub
    sent = cluster.call(stub, "SendMessage", request, token).message
    repeated = cluster.call(stub, "SendMessage", request, token).message
    assert repeated.message_id == sent.message_id, "a repeat answers with the same message"
    return sent


def history(cluster, token, conversation):
    messages = []
    while True:
        after = messages[-1].seq if messages else 0
        request = message_pb2.ListMessagesRequest(
            conversation=conversation, after_seq=after, page_size=7
        )
        page = cluster.call(message_pb2_grpc.MessageServiceStub, "ListMessages", request, token)
        messages.extend(page.messages)
        if not page.has_more:
            return messages


class Listener:
    """Bob's device: hears every message once, across the death of the server it listens to."""

    def __init__(self, cluster, token):
        self.cluster, self.token = cluster, token
        self.cursor, self.bodies, self.stream = "", [], None

    def hear(self, wanted):
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                if self.stream is None:
                    self.stream = self.cluster.subscribe(self.token, self.cursor)
                for event in self.stream:
                    self.cursor = event.cursor
                    kind = event.WhichOneof("kind")
                    assert kind != "reset", "a cursor stays valid across fail-over"
                    if kind == "message_created":
                        self.bodies.append(event.message_created.body)
                    if wanted(kind, self.bodies):
                        return
            except grpc.RpcError as error:
                if error.code() not in UNKNOWN or time.monotonic() > end:
                    raise
                self.cluster.rotate(error_info(error)[1].get("leader_address"))
                self.stream = None
                time.sleep(0.01)


def expect(code, reason, action):
    try:
        action()
    except grpc.RpcError as error:
        found = (error.code(), error_info(error)[0])
        assert found == (code, reason), f"expected {code}, {reason}; found {found}"
        return
    raise AssertionError(f"expected {code}, {reason}; it was accepted")


def main():
    cluster = Cluster(ADDRESSES)
    stub = cluster_pb2_grpc.ClusterServiceStub
    status = cluster.call(stub, "GetStatus", cluster_pb2.GetStatusRequest())
    assert len(status.servers) == len(ADDRESSES), status

    alice, bob = create(cluster, "alice"), create(cluster, "bob")
    taken = account_pb2.CreateAccountRequest(
        request_id=str(uuid.uuid4()), username="BOB", password=PASSWORD
    )
    accounts = account_pb2_grpc.AccountServiceStub
    expect(
        grpc.StatusCode.ALREADY_EXISTS,
        "NAME_TAKEN",
        lambda: cluster.call(accounts, "CreateAccount", taken),
    )
    login = session_pb2.LoginRequest(
        request_id=str(uuid.uuid4()), username="bob", password="a wrong password"
    )
    expect(
        grpc.StatusCode.UNAUTHENTICATED,
        "BAD_CREDENTIALS",
        lambda: cluster.call(session_pb2_grpc.SessionServiceStub, "Login", login),
    )

    # Two devices need not agree on who leads, so each has its own channels.
    listener = Listener(Cluster(ADDRESSES), bob)
    listener.hear(lambda kind, _: kind == "caught_up")
    lines = []
    for number in range(30):
        if number == 15:
            print("kill the leader", flush=True)
            assert sys.stdin.readline() == "killed\n"
        lines.append(f"line {number}")
        sent = send(cluster, alice, "@bob", lines[-1])
        assert sent.seq == number + 1, sent
    listener.hear(lambda _, bodies: len(bodies) >= len(lines))
    assert listener.bodies == lines, listener.bodies
    assert [message.body for message in history(cluster, bob, "@alice")] == lines
    print("all is well", flush=True)


if __name__ == "__main__":
    main()
