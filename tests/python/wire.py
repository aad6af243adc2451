"""What every script here needs: the stubs, a caller that finds the leader, and what is said of errors.

A script is started with the folder of the generated stubs and the servers' addresses. It speaks to the
test that started it by lines: `ask("kill the leader")` returns when the test has done so.
"""

import sys
import time
import uuid

STUBS, ADDRESSES = sys.argv[1], sys.argv[2:]
sys.path.insert(0, STUBS)

import grpc  # noqa: E402
from google.protobuf.message_factory import GetMessageClass  # noqa: E402
from google.rpc import error_details_pb2  # noqa: E402
from grpc_status import rpc_status  # noqa: E402

from chinwag.chat.v1 import account_pb2, account_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import cluster_pb2, cluster_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import conversation_pb2, conversation_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import event_pb2, event_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import message_pb2, message_pb2_grpc  # noqa: E402
from chinwag.chat.v1 import session_pb2, session_pb2_grpc  # noqa: E402

PASSWORD = "correct horse battery"
DEADLINE_SECONDS = 30
FILES = (account_pb2, cluster_pb2, conversation_pb2, event_pb2, message_pb2, session_pb2)
STUB = {
    "AccountService": account_pb2_grpc.AccountServiceStub,
    "ClusterService": cluster_pb2_grpc.ClusterServiceStub,
    "ConversationService": conversation_pb2_grpc.ConversationServiceStub,
    "EventService": event_pb2_grpc.EventServiceStub,
    "MessageService": message_pb2_grpc.MessageServiceStub,
    "SessionService": session_pb2_grpc.SessionServiceStub,
}
UNKNOWN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
}


def methods():
    """Every method of the chat's services, by its name: its service and its descriptor."""
    found = {}
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                found[method.name] = (service.name, method)
    return found


METHODS = methods()


def ask(what):
    """The test that started this script does it."""
    print(what, flush=True)
    assert sys.stdin.readline() == "done\n", what


def details(error, kind):
    """The first detail of this kind that the error carries, or None."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        found = kind()
        if detail.Unpack(found):
            return found
    return None


def error_info(error):
    """The reason and the metadata of a refusal."""
    info = details(error, error_details_pb2.ErrorInfo)
    if info is None:
        return "", {}
    assert info.domain == "chinwag", info
    return info.reason, dict(info.metadata)


def new_id():
    return str(uuid.uuid4())


class Cluster:
    """Every server, and the one that is believed to lead."""

    def __init__(self, addresses=None):
        self.addresses = list(addresses or ADDRESSES)
        self.channels = {address: grpc.insecure_channel(address) for address in self.addresses}
        self.current = self.addresses[0]

    def once(self, name, token="", metadata=None, address=None, **fields):
        """Calls one server once; a message and the trailers."""
        service, method = METHODS[name]
        request = GetMessageClass(method.input_type)(**fields)
        bound = getattr(STUB[service](self.channels[address or self.current]), name)
        header = [("authorization", f"Bearer {token}")] if token else []
        if method.server_streaming:
            return bound(request, metadata=header + (metadata or [])), {}
        answer, call = bound.with_call(request, metadata=header + (metadata or []), timeout=2)
        return answer, dict(call.trailing_metadata())

    def call(self, name, token="", **fields):
        """Calls until there is a definite answer; follows the leader's address where one is given."""
        end = time.monotonic() + DEADLINE_SECONDS
        if "request_id" in METHODS[name][1].input_type.fields_by_name:
            fields.setdefault("request_id", new_id())
        while True:
            try:
                return self.once(name, token, **fields)[0]
            except grpc.RpcError as error:
                if error.code() not in UNKNOWN or time.monotonic() > end:
                    raise
                self.rotate(error_info(error)[1].get("leader_address"))
                time.sleep(0.01)

    def stream(self, name, token, requests):
        """All answers of the server that answered last to these requests over one stream."""
        service, method = METHODS[name]
        kind = GetMessageClass(method.input_type)
        bound = getattr(STUB[service](self.channels[self.current]), name)
        header = [("authorization", f"Bearer {token}")]
        return list(bound((kind(**fields) for fields in requests), metadata=header, timeout=30))

    def rotate(self, hint=None):
        """Goes to the server that is said to lead, or else to the next one."""
        if hint in self.channels and hint != self.current:
            self.current = hint
        else:
            index = (self.addresses.index(self.current) + 1) % len(self.addresses)
            self.current = self.addresses[index]

    def subscribe(self, token, cursor=""):
        """An open stream; whoever reads it rotates when it breaks."""
        return self.once("Subscribe", token, cursor=cursor)[0]


class Listener:
    """A device: hears every event, across the death of the server it listens to."""

    def __init__(self, cluster, token):
        # Two devices need not agree on who leads, so each has its own channels.
        self.cluster, self.token = Cluster(cluster.addresses), token
        self.cursor, self.events, self.stream = "", [], None
        self.hear(lambda event: event.WhichOneof("kind") == "caught_up")

    def hear(self, wanted):
        """Reads until an event is wanted; returns it."""
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                if self.stream is None:
                    self.stream = self.cluster.subscribe(self.token, self.cursor)
                for event in self.stream:
                    assert event.cursor, "every event has a cursor"
                    self.cursor = event.cursor
                    assert event.WhichOneof("kind") != "reset", "a cursor stays valid"
                    self.events.append(event)
                    if wanted(event):
                        return event
            except grpc.RpcError as error:
                if error.code() not in UNKNOWN or time.monotonic() > end:
                    raise
                self.cluster.rotate(error_info(error)[1].get("leader_address"))
            self.stream = None
            time.sleep(0.01)

    def kind(self, kind, matches=lambda _: True):
        """Hears on until an event of this kind, which must match."""
        wanted = lambda event: event.WhichOneof("kind") == kind and matches(getattr(event, kind))  # noqa: E731
        return getattr(self.hear(wanted), kind)
