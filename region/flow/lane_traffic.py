"""What passes on the stream of one lane: tasks come down; reports, holdings and news of other paths go up."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence

from orbital.v1 import dispatch_pb2
from orbital.v1.resource_pb2 import Transport

from region.flow.holdings import Holdings
from region.flow.lane_journal import LaneJournal
from region.flow.marks import StateMarks
from region.flow.receive import Receiver, Send
from region.flow.report import Reporter
from region.flow.transport import PathEvents
from region.ports.gateway import Gateway

NOT_CONNECTED = "GATEWAY_UNREACHABLE"


class LaneTraffic:
    """The traffic of one lane; each `open` begins it anew for another stream."""

    def __init__(
        self,
        *,
        journal: LaneJournal,
        receiver: Receiver,
        reporter: Reporter,
        holdings: Holdings,
        news: PathEvents,
        marks: StateMarks,
    ) -> None:
        self.lane = journal.lane
        self._journal = journal
        self._receiver = receiver
        self._reporter = reporter
        self._holdings = holdings
        self._news = news
        self._marks = marks

    async def open(self, opening: dispatch_pb2.Open) -> None:
        """Begin anew for the stream of this opening, and put into it what the lane has to prove."""
        self._receiver = self._receiver.afresh(Transport.TRANSPORT_STREAM)
        self._reporter = self._reporter.afresh()
        self._journal.signals.reported.awaits = ""
        await self._holdings.open(opening)

    def closed(self) -> None:
        """The stream has ended: nothing is reported until the next one."""
        self._receiver = self._receiver.afresh(Transport.TRANSPORT_STREAM)
        self._journal.signals.reported.awaits = NOT_CONNECTED

    def parts(self, send: Send) -> Sequence[Coroutine[None, None, None]]:
        """What has to run, for as long as the stream lives, to send what there is to be sent."""
        return (
            self._receiver.run(send),
            self._reporter.run(self._marked(send)),
            self._tell_news(send),
            self._holdings.run(send),
        )

    async def take(self, message: dispatch_pb2.SubscribeResponse) -> None:
        """A message of the gateway arrived."""
        self._journal.heard()
        match message.WhichOneof("message"):
            case "delivery":
                self._receiver.take(message.delivery)
            case "accepted":
                await self._reporter.accepted(message.accepted)
                self._journal.accepted()
            case "beat":
                self._journal.signals.reported.awaits = message.beat.reports_await
                self._holdings.asked(message.beat.ask_holdings)
            case "opened":
                self._holdings.asked(message.opened.ask_holdings)

    async def report_apart(self, gateway: Gateway) -> None:
        """Report what is waiting by calls of their own; raises OrbitalError."""
        await self._reporter.apart(gateway)

    def _marked(self, send: Send) -> Send:
        """Send reports with the mark of the state that they are of."""

        async def marked(request: dispatch_pb2.SubscribeRequest) -> None:
            request.reports.mark.CopyFrom(self._marks.told() or dispatch_pb2.StateMark())
            await send(request)

        return marked

    async def _tell_news(self, send: Send) -> None:
        while True:
            await send(await self._news.next())
            self._news.told()
