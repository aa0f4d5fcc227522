"""A plane that nobody runs: `FakePlaneView` answers the admin port's doors from plain values.

For tests of the API and the console, and for looking at the pages. Its figures are set by hand or
made by `serve_traffic`, without randomness.
"""

import io
from datetime import UTC, datetime, timedelta
from math import sin

import msgspec

from towplane.api.account_views import changes_of
from towplane.api.experiments import ArmsView, KeptScore, PostedScore
from towplane.api.explanations import (
    Question,
    RequestExplanation,
    RouteExplanation,
    WorkerExplanation,
)
from towplane.api.provider_views import (
    CredentialView,
    PricesView,
    PriceView,
    ProviderLimitsView,
    ProviderView,
    ProvisionedView,
    RatesView,
)
from towplane.api.scores import RouteScores
from towplane.api.tenant_views import (
    AuditRow,
    ChangedKey,
    ChangedProject,
    ChangedTenant,
    Download,
    ExportQuery,
    KeyRow,
    NewKey,
    ProjectRow,
    QuotaRow,
    TenantDetail,
    TenantRow,
    UsageQuery,
    WantedKey,
    WantedProject,
    WantedTenant,
)
from towplane.api.views import (
    DocumentView,
    EngineView,
    LedgerView,
    PlaneStatus,
    RouteView,
    Slos,
    TargetView,
    WorkerView,
)
from towplane.monitoring.catalogue import CATALOGUE, edges
from towplane.monitoring.series import Sample
from towplane.parts.errors import Conflict, NotFound
from towplane.routing.demand import Demand
from towplane.routing.experiments.compare import Tally
from towplane.routing.explain import Seen
from towplane.routing.spec import Split
from towplane.tenants.alerts.message import Alert
from towplane.tenants.ledger import UsageRow
from towplane.tenants.spec import Budget, Limits
from towplane.testing.rosters import explained

__all__ = ["SECRET", "START", "FakePlaneView", "a_status", "some_prices"]

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "tp-fakekeyid22-thesecretthatmustneverreachanypage"

_TTFT_EDGES = edges("towplane_ttft_seconds", [0.8])


def a_status() -> PlaneStatus:
    """A plane of one engine replica, one provider and two routes; all is well."""
    return PlaneStatus(
        plane="first-light",
        tier="onprem",
        version="0.1.0",
        started_at=START - timedelta(hours=3),
        serving="http://127.0.0.1:8080",
        admin="http://127.0.0.1:9090",
        document=DocumentView(
            path="/etc/towplane/plane.yaml",
            digest="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            loaded_at=START - timedelta(minutes=50),
            applied=2,
        ),
        workers=[
            WorkerView(
                number=number,
                pid=None,
                state="serving",
                in_flight=3 + number,
                connections=40,
                since=START - timedelta(hours=3),
            )
            for number in range(2)
        ],
        engines=[
            EngineView(
                engine="embedded",
                replica=0,
                target="embedded/0",
                kind="llama.cpp",
                state="ready",
                port=41233,
                pid=None,
                version="b10068",
                weights="SmolLM2-135M-Instruct.Q4_1.gguf",
                licence="Apache-2.0",
                restarts=1,
                since=START - timedelta(minutes=42),
            )
        ],
        providers=[
            ProviderView(
                name="spare",
                kind="openai",
                endpoint="https://api.openai.com/v1",
                state="ready",
                targets=["spare/gpt-large"],
                limits=ProviderLimitsView(rpm=5_000, tpm=2_000_000),
                credentials=[
                    CredentialView(
                        name="spare#1",
                        how="key env:SPARE_KEY",
                        state="ready",
                        expires_at=START + timedelta(minutes=50),
                        refresh_at=START + timedelta(minutes=38),
                    ),
                    CredentialView(
                        name="spare#2",
                        how="key env:OTHER_KEY",
                        state="ready",
                    ),
                ],
            ),
            ProviderView(
                name="eu",
                kind="bedrock",
                endpoint="https://bedrock-runtime.eu-central-1.amazonaws.com",
                location="eu-central-1",
                via="proxy http://proxy.corp:3128",
                state="ready",
                targets=["eu/anthropic.claude-large"],
                credentials=[
                    CredentialView(
                        name="eu#1",
                        how="instance role, role arn:aws:iam::123456789012:role/llm",
                        state="ready",
                        expires_at=START + timedelta(minutes=55),
                        refresh_at=START + timedelta(minutes=44),
                    )
                ],
                provisioned=[
                    ProvisionedView(
                        models=["anthropic.claude-large"],
                        hourly_nanousd=40_000_000_000,
                        units=2,
                        since=START.date() - timedelta(days=22),
                    )
                ],
            ),
        ],
        targets=[
            TargetView(
                name="embedded/0",
                kind="engine",
                state="ready",
                routes=["smollm2-135m-instruct"],
                in_flight=4,
                attempts=18_204,
                failures=12,
            ),
            TargetView(
                name="spare/gpt-large",
                kind="provider",
                state="ready",
                routes=["chat", "smollm2-135m-instruct"],
                in_flight=0,
                attempts=310,
                failures=0,
                provider="spare",
                model="gpt-large",
                requests_left=4_812,
                tokens_left=1_904_211,
            ),
            TargetView(
                name="eu/anthropic.claude-large",
                kind="provider",
                state="ready",
                routes=["chat"],
                in_flight=0,
                attempts=0,
                failures=0,
                provider="eu",
                model="anthropic.claude-large",
            ),
        ],
        routes=[
            RouteView(
                model="chat",
                choose="least-in-flight",
                targets=["spare/gpt-large", "eu/anthropic.claude-large"],
            ),
            RouteView(
                model="smollm2-135m-instruct",
                choose="least-in-flight",
                targets=["embedded"],
                fallback=["spare/gpt-large"],
                slo=Slos(ttft_s=0.8, itl_s=0.1),
            ),
        ],
        ledger=LedgerView(lag_events=3, folded=74_120, last_fold=START - timedelta(seconds=1)),
        prices=PricesView(book="genai-prices 0.2.3", newest=START.date() - timedelta(days=14)),
    )


def some_prices() -> list[PriceView]:
    """One that the document says, one that nobody says, one by the hour."""
    return [
        PriceView(
            target="spare/gpt-large",
            routes=["chat", "smollm2-135m-instruct"],
            origin="document",
            since=START.date() - timedelta(days=40),
            source="contract 4711",
            search_nanousd=10_000_000,
            rates=[
                RatesView(
                    service="standard",
                    input=1_250_000_000,
                    output=10_000_000_000,
                    cached_input=125_000_000,
                ),
                RatesView(service="batch", input=625_000_000, output=5_000_000_000),
            ],
        ),
        PriceView(
            target="embedded",
            routes=["smollm2-135m-instruct"],
            why_unknown="the document says none",
        ),
        PriceView(
            target="eu/anthropic.claude-large",
            routes=["chat"],
            origin="document",
            is_provisioned=True,
        ),
    ]


class FakePlaneView:
    """A `PlaneView` of plain values; change `state`, `counted` and `rows` as a test needs."""

    def __init__(self) -> None:
        self.state = a_status()
        self.counted: list[Sample] = []
        self.priced = some_prices()
        self.rows = [
            UsageRow(
                name="globex",
                requests=18_002,
                attempts=18_500,
                input_tokens=9_812_400,
                cached_input_tokens=4_100_000,
                output_tokens=2_401_118,
                measured=18_496,
                estimated=4,
                absent=0,
                cost_nanousd=1_204_500_000_250,
                unpriced=0,
            ),
            UsageRow(
                name="default",
                requests=212,
                attempts=214,
                input_tokens=31_000,
                cached_input_tokens=0,
                output_tokens=40_100,
                measured=213,
                estimated=0,
                absent=1,
                cost_nanousd=None,
                unpriced=214,
            ),
        ]
        self.days = [
            msgspec.structs.replace(
                self.rows[0],
                name=(START.date() - timedelta(days=age)).isoformat(),
                cost_nanousd=(40 + 11 * (age % 7)) * 1_000_000_000,
            )
            for age in range(20, -1, -1)
            if age != 8
        ]
        """Rows by day; one day is missing."""
        self.people = {
            "default": TenantRow(
                name="default", source="document", limits=Limits(), budget=Budget(), active_keys=0
            ),
            "globex": TenantRow(
                name="globex",
                source="document",
                limits=Limits(rpm=600, rpd=20_000),
                budget=Budget(monthly_nanousd=1_500_000_000_000),
                models=["chat"],
                priority="high",
                projects=["search"],
                active_keys=2,
            ),
        }
        self.projects = [
            ProjectRow(
                tenant="globex",
                name="search",
                source="created",
                budget=Budget(daily_nanousd=50_000_000_000, mode="soft"),
                created_at=START - timedelta(days=30),
            )
        ]
        self.used = [
            QuotaRow(
                kind="tenant",
                name="globex",
                measure="monthly",
                unit="nanousd",
                window="2026-11",
                limit=1_500_000_000_000,
                used=1_204_500_000_250,
                mode="hard",
            ),
            QuotaRow(
                kind="tenant",
                name="globex",
                measure="rpd",
                unit="requests",
                window="2026-11-23",
                limit=20_000,
                used=912,
                mode="hard",
            ),
            QuotaRow(
                kind="project",
                name="globex/search",
                measure="daily",
                unit="nanousd",
                window="2026-11-23",
                limit=50_000_000_000,
                used=51_000_000_000,
                mode="soft",
            ),
        ]
        self.noted = [
            Alert(
                id="alert_1",
                at=START - timedelta(days=3),
                tenant="globex",
                kind="tenant",
                name="globex",
                measure="monthly",
                window="2026-11",
                share=0.8,
                limit=1_500_000_000_000,
                used=1_200_100_000_000,
                state="failed",
                tries=24,
                ended_at=START - timedelta(days=2),
                trouble="it answered 500",
            )
        ]
        self.audit = [
            AuditRow(
                number=1,
                at=START - timedelta(days=30),
                actor="cli:ann",
                action="project-created",
                subject="globex/search",
                after={"budget": {"daily": 50_000_000_000}},
            )
        ]
        self.actors: list[str] = []
        """Who acted, as far as somebody said so."""
        self.made: dict[str, KeyRow] = {}
        self.questions: list[UsageQuery] = []
        self.overlaps: list[float] = []

    @property
    def tenancy(self) -> "FakePlaneView":
        """Its tenants and keys are its own."""
        return self

    def status(self) -> PlaneStatus:
        """The state as it was set."""
        return self.state

    async def samples(self) -> list[Sample]:
        """The samples as they were set."""
        return self.counted

    def prices(self) -> list[PriceView]:
        """The prices as they were set."""
        return self.priced

    async def scores(self, model: str) -> RouteScores:
        """Of a route that scores by length."""
        if not any(route.model == model for route in self.state.routes):
            raise NotFound(f"there is no route for the model {model}")
        return RouteScores(model=model, scorer="length", threshold=400.0, scores=[12.0, 640.0])

    async def arms(self, model: str, since: datetime | None) -> ArmsView:
        """Two arms of which nothing is known yet."""
        if model != "chat":
            raise NotFound(f"there is no route for the model {model}", next_step="there is: chat")
        split = Split(arms={"control": 90, "candidate": 10})
        return ArmsView(model=model, since=since, comparison=Tally(split).compare())

    async def post_score(self, model: str, posted: PostedScore) -> KeptScore:
        """As it came."""
        at = datetime(2026, 11, 23, tzinfo=UTC)
        return KeptScore(model=model, request_id=posted.request_id, score=posted.score, at=at)

    async def explain_request(self, request: str) -> RequestExplanation:
        """One that left nothing to tell."""
        return RequestExplanation(request=request, worker=None, choices=[], attempts=[])

    async def explain(self, model: str, question: Question) -> RouteExplanation:
        """One worker, and every target of the route well, whatever the state says."""
        route = next((route for route in self.state.routes if route.model == model), None)
        if route is None:
            raise NotFound(f"there is no route for the model {model}")
        steps = [route.targets, *([step] for step in route.fallback)]
        groups = [[Seen(name=name) for name in names] for names in steps]
        demand = Demand(tenant=question.tenant)
        found = explained(route.choose, groups, turn=0, most=3, demand=demand)
        worker = WorkerExplanation(
            number=0, retries_left=10.0, groups=found.groups, steps=found.steps
        )
        return RouteExplanation(model=model, choose=route.choose, attempts=3, workers=[worker])

    def acting_as(self, actor: str) -> "FakePlaneView":
        """The same; the name is noted."""
        self.actors.append(actor)
        return self

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        """The rows as they were set, by day or by anything else."""
        self.questions.append(query)
        return self.days if query.by == "day" else self.rows

    async def tenants(self) -> list[TenantRow]:
        """Tenants by name."""
        return [self.people[name] for name in sorted(self.people)]

    async def tenant(self, name: str) -> TenantDetail:
        """What was set of one."""
        self._known(name)
        return TenantDetail(
            tenant=self.people[name],
            projects=[one for one in self.projects if one.tenant == name],
            keys=[one for one in self.made.values() if one.tenant == name],
            quotas=[one for one in self.used if one.name.partition("/")[0] == name],
            alerts=[one for one in self.noted if one.tenant == name],
            changes=[one for one in self.audit if one.subject.startswith(name)],
        )

    async def create_project(self, tenant: str, wanted: WantedProject) -> ProjectRow:
        """A project in memory."""
        self._known(tenant)
        if any((one.tenant, one.name) == (tenant, wanted.name) for one in self.projects):
            raise Conflict(f"the tenant {tenant} has a project {wanted.name}")
        row = ProjectRow(
            tenant=tenant,
            name=wanted.name,
            source="created",
            limits=wanted.limits,
            budget=wanted.budget,
        )
        self.projects.append(row)
        return row

    async def change_tenant(self, name: str, changed: ChangedTenant) -> TenantRow:
        """The tenant with other limits."""
        self._known(name)
        self.people[name] = changes_of(changed)(self.people[name])
        return self.people[name]

    async def change_project(self, tenant: str, name: str, changed: ChangedProject) -> ProjectRow:
        """The project with other limits."""
        for place, one in enumerate(self.projects):
            if (one.tenant, one.name) == (tenant, name):
                self.projects[place] = changes_of(changed)(one)
                return self.projects[place]
        raise NotFound(f"the tenant {tenant} has no project {name}")

    async def change_key(self, key: str, changed: ChangedKey) -> KeyRow:
        """The key with other limits."""
        self.made[key] = changes_of(changed)(self._key(key))
        return self.made[key]

    async def export(self, query: ExportQuery) -> Download:
        """A file of one line."""
        return Download(io.BytesIO(b"tenant,amount\r\n"), "text/csv", f"usage.{query.format}")

    async def quotas(self, tenant: str | None = None) -> list[QuotaRow]:
        """Quotas as they were set."""
        if tenant is not None:
            return (await self.tenant(tenant)).quotas
        return [one for one in self.used if one.kind == "tenant"]

    async def alerts(self, tenant: str | None = None) -> list[Alert]:
        """Alerts as they were set."""
        if tenant is not None:
            self._known(tenant)
        return [one for one in self.noted if tenant in (None, one.tenant)]

    async def changes(self, most: int = 100) -> list[AuditRow]:
        """Changes as they were set."""
        return self.audit[:most]

    async def create_tenant(self, wanted: WantedTenant) -> TenantRow:
        """A tenant in memory."""
        if wanted.name in self.people:
            raise Conflict(f"the tenant {wanted.name} exists already")
        row = TenantRow(
            name=wanted.name, source="created", limits=wanted.limits, budget=wanted.budget
        )
        self.people[wanted.name] = row
        return row

    async def keys(self, tenant: str | None = None) -> list[KeyRow]:
        """Keys made so far."""
        if tenant is not None:
            self._known(tenant)
        return [key for key in self.made.values() if tenant in (None, key.tenant)]

    async def create_key(self, tenant: str, wanted: WantedKey) -> NewKey:
        """A key in memory; its token is always `SECRET`."""
        self._known(tenant)
        name = f"key{len(self.made)}"
        self.made[name] = KeyRow(
            id=name,
            tenant=tenant,
            state="active",
            name=wanted.name,
            label=wanted.label,
            project=wanted.project,
            limits=wanted.limits,
            budget=wanted.budget,
            models=wanted.models,
            created_at=START,
            expires_at=wanted.expires_at,
        )
        return NewKey(id=name, tenant=tenant, token=SECRET)

    async def rotate_key(self, key: str, *, overlap_s: float) -> NewKey:
        """The same key with a new secret, which is always `SECRET`."""
        self.overlaps.append(overlap_s)
        return NewKey(id=key, tenant=self._key(key).tenant, token=SECRET)

    async def revoke_key(self, key: str) -> KeyRow:
        """Mark the key."""
        row = self._key(key)
        row.state = "revoked"
        return row

    def serve_traffic(self, beat: int) -> None:
        """Let the counters stand as after `beat` steps of a load with a slow swell."""
        requests = round(40 * beat + 120 * sin(beat / 20))
        model = "smollm2-135m-instruct"
        self.counted = [
            Sample("towplane_requests_total", (model, "ok", "met"), requests),
            Sample("towplane_requests_total", (model, "ok", "missed"), beat // 3),
            Sample("towplane_requests_total", (model, "failed", "missed"), beat // 60),
            Sample("towplane_requests_total", ("other", "refused", "none"), beat // 4),
            Sample("towplane_attempts_total", (model, "embedded/0", "first", "ok"), requests),
            Sample("towplane_attempts_total", (model, "embedded/0", "retry", "ok"), beat),
            Sample("towplane_requests_total", ("chat", "ok", "none"), 9 * beat),
            Sample("towplane_attempts_total", ("chat", "spare/gpt-large", "first", "ok"), 9 * beat),
            Sample(
                "towplane_attempts_total",
                ("chat", "spare/gpt-large", "first", "rate_limited"),
                beat // 12,
            ),
            _spread("towplane_target_ttft_seconds", "spare/gpt-large", 6 * beat, None, 4),
            _spread("towplane_target_seconds", "spare/gpt-large", 3 * beat, None, 5),
            Sample("towplane_refusals_total", ("not_found",), beat // 4),
            Sample("towplane_tokens_total", (model, "input", "measured"), requests * 120),
            Sample("towplane_tokens_total", (model, "output", "measured"), requests * 64),
            Sample("towplane_inflight_requests", (model,), 3 + beat % 5),
            Sample("towplane_queued_requests", (), 0),
            _spread("towplane_ttft_seconds", model, requests, _TTFT_EDGES, 3),
            _spread("towplane_itl_seconds", model, requests * 63, None, 2),
        ]

    def _known(self, tenant: str) -> None:
        if tenant not in self.people:
            raise NotFound(f"there is no tenant {tenant}", next_step="towplane tenants list")

    def _key(self, key: str) -> KeyRow:
        if key not in self.made:
            raise NotFound(f"there is no key {key}")
        return self.made[key]


def _spread(
    family: str, model: str, whole: int, own: tuple[float, ...] | None, peak: int
) -> Sample:
    """A histogram with most of its counts around one bucket."""
    buckets = [0] * (len(own or CATALOGUE[family].edges) + 1)
    for offset, share in ((-1, 0.2), (0, 0.6), (1, 0.15), (2, 0.05)):
        buckets[peak + offset] = round(whole * share)
    return Sample(family, (model,), 0, buckets, whole * 0.2, own)
