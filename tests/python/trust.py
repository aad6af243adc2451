"""What the stock client says of servers that it must not believe, and of servers that do not believe it.

Arguments: the stubs, a server's address, the folder of certificates, and "ended" if the server's certificate is
over.
"""

import os
import pathlib
import sys

STUBS, ADDRESS, FOLDER = sys.argv[1:4]
ENDED = sys.argv[4:] == ["ended"]
sys.path.insert(0, STUBS)
# Each refusal here is wanted, and told by what the calls end with.
os.environ["GRPC_VERBOSITY"] = "NONE"

import grpc  # noqa: E402
from chinwag.chat.v1 import cluster_pb2, cluster_pb2_grpc  # noqa: E402

FOLDER = pathlib.Path(FOLDER)
Code = grpc.StatusCode


def read(name):
    return (FOLDER / name).read_bytes()


def channel(authority, shown=None):
    """Trusts this authority, and shows this certificate."""
    pair = (read(f"{shown}.key"), read(f"{shown}.pem")) if shown else (None, None)
    return grpc.secure_channel(ADDRESS, grpc.ssl_channel_credentials(read(authority), *pair))


def status(opened):
    """A call that anybody may make."""
    with opened:
        stub = cluster_pb2_grpc.ClusterServiceStub(opened)
        return stub.GetStatus(cluster_pb2.GetStatusRequest(), timeout=10)


def refused(opened):
    """How a call that anybody may make fails."""
    try:
        answer = status(opened)
    except grpc.RpcError as error:
        assert error.code() == Code.UNAVAILABLE, error
        return error.details()
    raise AssertionError(f"it was answered: {answer}")


def peer_call(opened):
    """How a call between servers fails."""
    with opened:
        call = opened.unary_unary("/chinwag.cluster.v1.ReplicationService/Heartbeat")
        try:
            call(b"", timeout=10)
        except grpc.RpcError as error:
            return error.code(), error.details()
    raise AssertionError("it was answered")


if ENDED:
    assert "CERTIFICATE_VERIFY_FAILED" in refused(channel("ca.pem"))
else:
    assert status(channel("ca.pem")).server_id == 1
    assert status(channel("ca.pem", "client")).server_id == 1
    assert "CERTIFICATE_VERIFY_FAILED" in refused(channel("another-ca.pem"))
    words = refused(grpc.insecure_channel(ADDRESS))
    assert "encrypted connections only" in words, words
    for shown in ("expired", "another"):
        refused(channel("ca.pem", shown))
    for shown in (None, "client"):
        code, words = peer_call(channel("ca.pem", shown))
        assert code == Code.UNAUTHENTICATED, (code, words)
        assert "only the cluster's own servers" in words, words
print("all is well", flush=True)
