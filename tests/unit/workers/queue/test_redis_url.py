"""How ``REDIS_URL`` is read and shown."""

import re
from urllib.parse import urlencode

import pytest

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import connect, connect_blocking
from k8gentai.workers.queue.redis_url import OPTIONS, masked, read_url
from k8gentai.workers.queue.turns import Turns
from tests.support.accepting import finished_in


def test_one_server_is_read_as_redis_py_reads_it():
    read = read_url("rediss://ada:s%40fe@h:7000/3?ssl_ca_certs=/ca.pem&ssl_check_hostname=false")
    assert read.scheme == "rediss"
    assert read.options == {
        "username": "ada",
        "password": "s@fe",
        "host": "h",
        "port": 7000,
        "db": 3,
        "ssl_ca_certs": "/ca.pem",
        "ssl_check_hostname": False,
    }


@pytest.mark.parametrize("url", ["redis://h/%31", "redis+sentinel://h/turns/%31"])
def test_the_number_of_a_database_may_be_quoted(url):
    assert read_url(url).options["db"] == 1


def test_sentinels_are_named_with_the_service_and_the_database():
    read = read_url(
        "rediss+sentinel://ada:secret@one:26380,two,[::1]:26381/turns/2"
        "?sentinel_password=other&ssl_ca_certs=/ca.pem&max_connections=9&sentinel_socket_timeout=3"
    )
    assert read.sentinels == (("one", 26380), ("two", 26379), ("::1", 26381))
    assert read.service == "turns"
    assert read.options == {
        "username": "ada",
        "password": "secret",
        "db": 2,
        "ssl_ca_certs": "/ca.pem",
        "max_connections": 9,
    }
    assert read.sentinel_options == {"password": "other", "ssl_ca_certs": "/ca.pem", "socket_timeout": 3.0}


def test_nodes_of_a_cluster_are_named_without_a_database():
    read = read_url("rediss+cluster://ada:secret@one:7000,two,[::1]:7002?ssl_ca_certs=/ca.pem")
    assert read.nodes == (("one", 7000), ("two", 6379), ("::1", 7002))
    assert read.options == {"username": "ada", "password": "secret", "ssl_ca_certs": "/ca.pem"}


@pytest.mark.parametrize("of", [connect, connect_blocking])
@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://h?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "redis+sentinel://h/turns",
        "rediss+sentinel://h:1/turns/0",
        "redis+cluster://h:1,i:2/0?max_connections=7",
        "rediss+cluster://h?timeout=5",
        "redis://h?timeout=5",
        "redis+sentinel://h/turns?timeout=5",
        "redis://h/0?max_connections=7&client_name=a&socket_keepalive=no&health_check_interval=0",
        "redis+sentinel://h/turns?sentinel_max_connections=7&socket_read_size=65536&health_check_interval=9",
    ],
)
def test_each_kind_of_url_makes_a_client(of, url):
    assert of(url).connection_pool.make_connection()


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "localhost:6379",
        "redis+cluster://",
        "redis+cluster://h/1",
        "redis+sentinel://h",
        "redis+sentinel:///turns",
        "redis+sentinel://h/turns/x",
    ],
)
def test_others_are_refused(url):
    with pytest.raises(ValueError, match="it must"):
        read_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://h/0?foo=bar", "redis:// has no option 'foo'"),
        ("redis://h?ssl_ca_certs=/ca.pem", "no option 'ssl_ca_certs'; those of TLS are for rediss://"),
        (
            "rediss://h?ssl_cert_reqs=sometimes",
            "not accepted: Invalid SSL Certificate Requirements Flag: sometimes",
        ),
        ("unix:///run/redis.sock?port=1", "no option 'port'"),
        ("redis+sentinel://h/turns?sentinel_foo=bar", "no option 'foo'"),
        ("redis+sentinel://h/turns?sentinel_timeout=5", "no option 'timeout'"),
        ("redis+sentinel://h/turns?sentinel_port=5", "no option 'port'"),
        ("rediss://h?ssl_validate_ocsp=true", "rediss:// has no option 'ssl_validate_ocsp'"),
        ("rediss://h?ssl_validate_ocsp_stapled=true", "no option 'ssl_validate_ocsp_stapled'"),
        ("rediss://h?ssl_ocsp_expected_cert=a", "no option 'ssl_ocsp_expected_cert'"),
        ("redis://h?command_packer=a", "no option 'command_packer'"),
        ("redis://h?encoder_class=a", "no option 'encoder_class'"),
        ("redis://h?retry=x", "no option 'retry'"),
        ("redis://h?retry_on_error=x", "no option 'retry_on_error'"),
        ("redis://h?socket_type=abc", "no option 'socket_type'"),
        ("redis://h?credential_provider=x", "no option 'credential_provider'"),
        ("redis://h?decode_responses=true", "no option 'decode_responses'"),
        ("redis://h?protocol=3", "no option 'protocol'"),
        ("redis://h?lib_name=a", "no option 'lib_name'"),
        ("redis://h?client_name=a%20b", "'client_name' can hold ASCII letters, digits and signs, and no space"),
        ("redis://h?client_name=%C3%A9", "'client_name' can hold"),
        ("redis://h?port=seven", "not accepted: invalid literal"),
        ("redis://h?db=-1", "its option 'db' cannot be -1"),
        ("redis://h?max_connections=0", "its option 'max_connections' cannot be 0"),
        ("redis://h?socket_timeout=nan", "its option 'socket_timeout' cannot be nan"),
        ("redis://h?socket_timeout=inf", "its option 'socket_timeout' cannot be inf"),
        ("redis://h?socket_connect_timeout=1e10", "its option 'socket_connect_timeout' cannot be 10000000000.0"),
        ("redis://h?socket_timeout=4", "its option 'socket_timeout' must be above 4"),
        ("redis+sentinel://h/turns?socket_timeout=2", "its option 'socket_timeout' must be above 4"),
        ("redis+sentinel://h/turns?sentinel_socket_timeout=inf", "its option 'socket_timeout' cannot be inf"),
        ("redis://h?socket_read_size=99999999999", "its option 'socket_read_size' cannot be 99999999999"),
        ("rediss://h?ssl_ciphers=none", "not accepted: ('No cipher can be selected.',)"),
        ("rediss://h?ssl_min_version=5", "not accepted: Unsupported TLS"),
        ("rediss://h?ssl_ca_data=x", "not accepted: no start line"),
        ("redis://h/zero", "the database is a number, not 'zero'"),
        ("redis://h/\u00b2", "the database is a number, not '\u00b2'"),
        ("redis+sentinel://h/turns/\u00b2", "it must read"),
    ],
)
def test_options_that_no_connection_takes_are_refused(url, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        read_url(url)


VALUES = {
    "client_name": ["k8gentai", "a:b/c~!"],
    "db": ["0", "15"],
    "health_check_interval": ["0", "1", "86400"],
    "max_connections": ["1", "99999999999999999999"],
    "password": ["secret"],
    "retry_on_timeout": ["yes", "no"],
    "socket_connect_timeout": ["0.5", "86400"],
    "socket_keepalive": ["yes", "no"],
    "socket_read_size": ["1", "16777216"],
    "socket_timeout": ["4.1", "86400"],
    "timeout": ["0.5", "86400"],
    "username": ["ada"],
}
"""Of each option the least and the most that is accepted, or what is odd of it."""


def test_the_values_are_of_every_option():
    assert VALUES.keys() == OPTIONS | {"timeout"}


@pytest.fixture(scope="module")
def ada(valkey):
    """A user of the Valkey."""
    with valkey.client() as client:
        client.acl_setuser(
            "ada", enabled=True, passwords=["+secret"], keys="*", channels="*", categories=["+@all"]
        )
        yield
        client.acl_deluser("ada")


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in VALUES for value in VALUES[name]])
async def test_what_is_accepted_serves_both_kinds_of_clients(valkey, ada, name, value):
    given = {name: value}
    if name in ("username", "password"):
        given = {"username": "ada", "password": "secret"}
    url = f"{valkey.url.removesuffix('/0')}?{urlencode(given)}"
    redis = connect(url)
    turns = Turns(redis, queue_limit=1, keep_seconds=1)
    try:
        await redis.delete(keys.FINISHED)
        await redis.xadd(keys.FINISHED, {"turn": "resp_1"})
        assert await anext(finished_in(turns).ids()) == "resp_1"
    finally:
        await redis.aclose()
    with connect_blocking(url) as client:
        assert client.xlen(keys.FINISHED) == 1
        client.delete(keys.FINISHED)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        # As it can be named again.
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        ("redis://:secret@[h:1/0", "redis://…"),
        ("redis+sentinel://ada:secret@h:1,i:2/s/0", "redis+sentinel://ada:***@h:1,i:2/s/0"),
        ("redis+sentinel://h/s?sentinel_password=secret&db=1", "redis+sentinel://h/s?sentinel_password=***&db=1"),
    ],
)
def test_no_password_is_shown(url, shown):
    assert masked(url) == shown
