"""The SQL that two databases share, in PostgreSQL's spelling."""

from __future__ import annotations

import pytest
from lamplighter.stores.postgresql.spelling import compiled

TEXTS = [
    ("select 1", "select 1", ()),
    ("select * from t where a = ? and b = ?", "select * from t where a = $1 and b = $2", None),
    ("select :a, :b, :a", "select $1, $2, $1", ("a", "b")),
    ("select ':a ?', \"b?\", 'it''s :c', :d", "select ':a ?', \"b?\", 'it''s :c', $1", ("d",)),
    ("select a::text from t where b = :b", "select a::text from t where b = $1", ("b",)),
    ("select a from t order by a limit +:limit", "select a from t order by a limit $1", ("limit",)),
    ("select a +:b", "select a +$1", ("b",)),
    ("select a from t indexed by t_a where a = ?", "select a from t where a = $1", None),
    ("select c from t x\n  indexed by t_a\n where c = 1", "select c from t x\n where c = 1", ()),
    ("select a from t /*pg for update of t*/", "select a from t  for update of t", ()),
    ("select a from t /* :b ? */ where a = ? -- it's ?", "select a from t /* :b ? */ where a = $1 -- it's ?", None),
    ("select a /*pg , :b */ from t where c = :c", "select a  , $1  from t where c = $2", ("b", "c")),
]


@pytest.mark.parametrize(("shared", "text", "names"), TEXTS)
def test_a_shared_text_is_spelled_for_postgresql(shared: str, text: str, names: tuple[str, ...] | None) -> None:
    assert compiled(shared) == (text, names)


def test_both_kinds_of_parameters_in_one_text_are_refused() -> None:
    with pytest.raises(ValueError, match="got both"):
        compiled("select ? where :a = 1")
