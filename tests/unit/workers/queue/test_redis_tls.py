"""Redis by TLS. The Valkey of the tests is built without it: a proxy shakes hands in its place."""

import asyncio
import datetime
import ssl
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from k8gentai.stack.drill.proxy import Proxy
from k8gentai.workers.queue.connection import AWAY, connect_blocking
from tests.support.connected import connected
from tests.support.valkey import Valkey


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of ``localhost`` that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("certificate")
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return directory


@asynccontextmanager
async def tls(valkey, certificate, *, asks_clients=False):
    """The Valkey by TLS. Returns its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    if asks_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate / "cert.pem")
    proxy = Proxy(lambda: asyncio.open_connection("127.0.0.1", valkey.port))
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # Its connections end with their clients; they are not to outlive their event loop.
        await server.wait_closed()


async def answers(url):
    """Whether the clients of both kinds get an answer; they have to agree."""
    async with connected(url) as client:
        try:
            asynchronous = await client.ping()
        except AWAY:
            asynchronous = False

    def ping():
        with connect_blocking(url) as blocking:
            try:
                return blocking.ping()
            except AWAY:
                return False

    assert await asyncio.to_thread(ping) is asynchronous
    return asynchronous


async def test_the_server_is_known_by_its_certificate(valkey, certificate):
    ca = f"ssl_ca_certs={certificate / 'cert.pem'}"
    async with tls(valkey, certificate) as port:
        assert await answers(f"rediss://localhost:{port}/0?{ca}")
        assert not await answers(f"rediss://localhost:{port}/0")
        assert not await answers(f"rediss://127.0.0.1:{port}/0?{ca}")
        assert await answers(f"rediss://127.0.0.1:{port}/0?{ca}&ssl_check_hostname=false")
        assert await answers(f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none&ssl_check_hostname=false")
        assert not await answers(f"redis://localhost:{port}/0")


async def test_a_client_has_a_certificate_too(valkey, certificate):
    ca = f"ssl_ca_certs={certificate / 'cert.pem'}"
    own = f"ssl_certfile={certificate / 'cert.pem'}&ssl_keyfile={certificate / 'key.pem'}"
    async with tls(valkey, certificate, asks_clients=True) as port:
        assert await answers(f"rediss://localhost:{port}/0?{ca}&{own}")
        assert not await answers(f"rediss://localhost:{port}/0?{ca}")
