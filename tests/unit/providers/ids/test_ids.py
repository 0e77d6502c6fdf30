"""Ids sort by time and name their turn."""

from k8gentai.providers.ids import belongs_to, item_id, new_turn_id


def test_turn_ids_sort_in_the_order_they_were_made() -> None:
    ids = [new_turn_id() for _ in range(1_000)]
    assert len(set(ids)) == len(ids)
    # Within one tick of the clock the order is open.
    assert [id_[:17] for id_ in ids] == sorted(id_[:17] for id_ in ids)
    assert all(len(id_) == len("resp_") + 32 for id_ in ids)


def test_an_item_id_names_its_turn() -> None:
    turn = new_turn_id()
    id_ = item_id(turn, 3, "mcp_call")
    assert id_ == f"mcp_{turn.removeprefix('resp_')}0003"
    assert belongs_to(turn, id_)
    assert not belongs_to(new_turn_id(), id_)
    assert not belongs_to(turn, "msg_of_somebody")
    assert not belongs_to(turn, None)
    assert item_id(turn, 0, "something_new").startswith("item_")
