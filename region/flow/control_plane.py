"""What the control plane says on any lane's stream, handed to whoever in the process needs it."""

from __future__ import annotations

from orbital.v1.dispatch_pb2 import Beat, Open, Opened, Recovery, StateMark

from region.flow.lease import Heartbeats
from region.flow.marks import StateMarks
from region.flow.signals import Contact
from region.flow.transport import PathChoice


class ControlPlane:
    """The control plane as a process of the region hears it; the lanes of the process share it."""

    def __init__(self, *, heartbeats: Heartbeats, marks: StateMarks, choice: PathChoice, contact: Contact) -> None:
        self.marks = marks
        self.choice = choice
        self.contact = contact
        self._heartbeats = heartbeats

    def introduce(self, opening: Open) -> None:
        """Put into an opening how far the region's state is, and by which path its tasks are to come."""
        opening.transport = self.choice.transport
        opening.apart = not self.choice.by_stream(opening.lane)
        opening.mark.CopyFrom(self.marks.told() or StateMark())
        opening.recovery.CopyFrom(self.marks.recovery or Recovery())

    def opened(self, opened: Opened) -> None:
        """A stream was opened: the other lanes need not wait for the gateway any longer."""
        self.contact.made()
        self._heartbeats.heard()
        self.marks.heard(opened.marks)

    async def beat(self, beat: Beat) -> None:
        """A proof of life arrived."""
        await self._heartbeats.beat(beat)
        self.marks.heard(beat.marks, beat.recovered)
        await self.choice.told(beat.transport)
