"""Claims that wait for an older lane of their job to end, or to have had its time."""

from __future__ import annotations

from ..messages.jobs import Claim, ClaimKey


class DelayedClaims:
    """The `claims` that wait, by the lane that each waits for; at most one for each lane."""

    def __init__(self) -> None:
        self.claims: dict[int, Claim] = {}

    def put(self, lane_id: int, claim: Claim) -> Claim | None:
        """Have a claim wait for a lane. Return the claim that has waited for it until now, if one has."""
        replaced = self.claims.get(lane_id)
        self.claims[lane_id] = claim
        return replaced

    def take(self, lane_id: int) -> Claim | None:
        """Remove and return the claim that has waited for a lane."""
        return self.claims.pop(lane_id, None)

    def remove(self, key: ClaimKey) -> list[Claim]:
        """Remove and return a claim that is lost, if it waits here."""
        gone = [claim for claim in self.claims.values() if claim.key == key]
        self.claims = {lane_id: claim for lane_id, claim in self.claims.items() if claim.key != key}
        return gone

    def keep(self, boot: str) -> None:
        """Forget the claims that another boot has made."""
        self.claims = {lane_id: claim for lane_id, claim in self.claims.items() if claim.job.boot == boot}

    def clear(self) -> list[Claim]:
        """Remove and return all."""
        claims, self.claims = list(self.claims.values()), {}
        return claims

    def keys(self) -> list[ClaimKey]:
        """The keys of these claims."""
        return [claim.key for claim in self.claims.values()]
