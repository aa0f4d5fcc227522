"""Model lists: patterns are written out against the document, never against a request."""

from hypothesis import given
from hypothesis import strategies as st

from towplane.gateway.messages import RouteInfo
from towplane.tenants.force import expand_models, in_force
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.spec import ProjectSpec
from towplane.testing.fleet import Fleet, route, target

MODELS = ["gpt-small", "gpt-large", "claude", "org/llama:8b", "a.c", "abc"]


def key(**fields: object) -> KeyRecord:
    return KeyRecord(id="k", tenant="acme", digest=b"", **fields)  # type: ignore[arg-type]


def resolved(tenant: TenantRecord, one: KeyRecord) -> tuple[list[str] | None, list[str] | None]:
    (whose,), (found,) = in_force([tenant], [one], MODELS)
    return whose.models, found.models


def test_a_star_stands_for_any_letters_and_nothing_else_means_anything() -> None:
    for wanted, found in (
        (None, None),
        ([], []),
        (["gpt-*"], ["gpt-small", "gpt-large"]),
        (["*"], MODELS),
        (["*8b", "claude"], ["claude", "org/llama:8b"]),
        (["a.c"], ["a.c"]),
        (["a.*"], ["a.c"]),
        (["gpt-?", "[a]*", "gpt"], []),
        (["GPT-*"], []),
        (["unknown"], []),
    ):
        assert expand_models(wanted, MODELS) == found, wanted


@given(st.lists(st.text("gpt-*?[]a.c/", max_size=8), max_size=4), st.text(max_size=12))
def test_only_models_of_the_document_come_out(wanted: list[str], asked: str) -> None:
    found = expand_models([*wanted, asked], MODELS)
    assert found is not None
    assert set(found) <= set(MODELS)


def test_a_request_that_looks_like_the_pattern_is_no_model() -> None:
    tenant = TenantRecord(name="acme", models=["gpt-*"])
    models, _ = resolved(tenant, key())
    assert models is not None
    for asked in ("gpt-*", "*", "gpt-huge", "gpt-"):
        assert asked not in models


def test_tenant_project_and_key_all_hold() -> None:
    tenant = TenantRecord(
        name="acme",
        models=["gpt-*", "claude"],
        projects={"web": ProjectSpec(models=["*large", "claude", "abc"]), "all": ProjectSpec()},
    )
    assert resolved(tenant, key(project="web"))[1] == ["gpt-large", "claude", "abc"]
    assert resolved(tenant, key(project="web", models=["gpt-*"]))[1] == ["gpt-large"]
    assert resolved(tenant, key(project="all", models=["claude"]))[1] == ["claude"]
    assert resolved(tenant, key(project="gone"))[1] is None
    fleet = Fleet(route("abc", ["a"]), route("claude", ["a"]), targets=[target("a")])
    (whose,), (one,) = in_force([tenant], [key(project="web")], MODELS)
    fleet.reload(tenants=(whose,), keys=(one,))
    fleet.turn()
    hall = fleet.worker.hall
    assert [hall.may_use(one, m) for m in ("claude", "abc", "gpt-small")] == [True, False, False]
    fleet.close()


def test_a_key_has_the_priority_of_itself_its_project_or_its_tenant() -> None:
    tenant = TenantRecord(
        name="acme",
        priority="low",
        projects={"web": ProjectSpec(priority="high"), "other": ProjectSpec()},
    )
    for one, want in (
        (key(), "low"),
        (key(project="other"), "low"),
        (key(project="web"), "high"),
        (key(project="web", priority="standard"), "standard"),
    ):
        _, (found,) = in_force([tenant], [one], MODELS)
        assert found.priority == want


def test_a_new_model_of_the_document_widens_patterns_and_nothing_else() -> None:
    tenant = TenantRecord(name="acme", models=["gpt-*"])
    fixed = TenantRecord(name="acme", models=["gpt-small"])
    more = [*MODELS, "gpt-new"]
    (wide,), _ = in_force([tenant], [], more)
    (narrow,), _ = in_force([fixed], [], more)
    assert wide.models == ["gpt-small", "gpt-large", "gpt-new"]
    assert narrow.models == ["gpt-small"]


def test_routes_are_what_models_are_expanded_against() -> None:
    """`in_force` gets the names of the routes; a route's targets are not models."""
    info: RouteInfo = route("m", ["a"])
    assert expand_models(["a*"], [info.model]) == []
