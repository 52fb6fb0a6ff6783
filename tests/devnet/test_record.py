import json
import threading

import pytest

from chainnode.model.errors import DecodeError, NotFound
from devnet.processes import Process
from devnet.record import FILE_NAME, Node, Proxy, Record, load, locked


def record_of(directory):
    return Record(
        directory=directory,
        chain_id="devnet.example/alliance",
        suite="sm2-sm3",
        nodes=(
            Node(
                name="v1",
                home=directory / "v1",
                rpc_port=20_001,
                peer_port=20_002,
                process=Process(pid=17, started="boot/4711"),
            ),
            Node(name="v2", home=directory / "v2", rpc_port=20_003, peer_port=20_004, process=None),
        ),
        proxy=Proxy(control_port=20_005, process=Process(pid=18, started="boot/4712")),
    )


@pytest.mark.parametrize("proxy", [Proxy(control_port=1, process=None), None])
def test_network_is_read_as_it_was_written(tmp_path, proxy):
    record = record_of(tmp_path)
    record.save()
    assert load(tmp_path) == record
    other = Record(
        directory=tmp_path, chain_id="c", suite=record.suite, nodes=record.nodes, proxy=proxy
    )
    other.save()
    assert load(tmp_path) == other


def test_folder_that_was_moved_is_found_where_it_is(tmp_path):
    (tmp_path / "here").mkdir()
    record_of(tmp_path / "here").save()
    (tmp_path / "here").rename(tmp_path / "there")
    assert load(tmp_path / "there").node("v1").home == tmp_path / "there" / "v1"


def test_folder_without_a_network_says_what_to_do(tmp_path):
    with pytest.raises(NotFound, match="devnet up"):
        load(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document | {"version": 2},
        lambda document: {name: v for name, v in document.items() if name != "nodes"},
        lambda document: document | {"nodes": [{"name": "v1"}]},
        lambda document: document | {"nodes": 7},
        lambda document: document | {"proxy": {"control_port": 1, "process": 3}},
        lambda document: [],
    ],
)
def test_damaged_file_is_refused_by_name(tmp_path, damage):
    record_of(tmp_path).save()
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(DecodeError, match=FILE_NAME):
        load(tmp_path)


def test_half_a_file_is_refused_by_name(tmp_path):
    record_of(tmp_path).save()
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DecodeError, match=FILE_NAME):
        load(tmp_path)


def test_unknown_validator_is_named_beside_the_known_ones(tmp_path):
    with pytest.raises(NotFound, match="'v3' here; there are v1, v2"):
        record_of(tmp_path).node("v3")


def test_one_at_a_time_changes_a_network(tmp_path):
    order = []

    def second():
        with locked(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path):
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
