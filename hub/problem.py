"""The things that can be wrong: one stable name and number each, and the only two exceptions.

Numbers never change and are never reused; texts may. Every border translates a Problem in one complete table of its own
(AppRec code, MessageError code, OperationOutcome, verdict), and a test asks each table for every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum


class Problem(Enum):
    """What is wrong with what somebody sent. The value is the number that partners and operators see."""

    # The parcel or its envelope
    UNREADABLE = "BB-101"
    TOO_LARGE = "BB-102"
    UNKNOWN_PARTNER = "BB-103"
    WRONG_PARTY = "BB-104"
    BAD_SIGNATURE = "BB-105"
    NOT_COVERED = "BB-106"
    UNSIGNED = "BB-107"
    WRONG_SIGNER = "BB-108"
    CERTIFICATE_EXPIRED = "BB-109"
    NOT_DECRYPTABLE = "BB-110"
    ALTERED_DUPLICATE = "BB-111"
    EXPIRED = "BB-112"
    UNKNOWN_AGREEMENT = "BB-113"
    MISSING_PART = "BB-114"
    NOT_SUPPORTED = "BB-115"
    NOT_AUTHENTICATED = "BB-116"
    CERTIFICATE_UNTRUSTED = "BB-117"
    CERTIFICATE_REVOKED = "BB-118"
    RECEIPT_DIFFERS = "BB-119"
    TEST_MESSAGE = "BB-120"
    NOT_AS_AGREED = "BB-121"
    LOGIN_REFUSED = "BB-124"
    LOGIN_TOO_WEAK = "BB-125"
    # The content
    INVALID = "BB-201"
    UNKNOWN_CODE = "BB-202"
    UNKNOWN_FUNCTION = "BB-203"
    UNKNOWN_PERSON = "BB-204"
    UNKNOWN_SERVICE = "BB-205"
    UNKNOWN_BOOKING = "BB-206"
    OUT_OF_DATE = "BB-207"
    NOT_ALLOWED = "BB-208"
    UNKNOWN_REFERENCE = "BB-209"
    # The rules of booking
    OUTSIDE_OPENING_HOURS = "BB-301"
    FULL = "BB-302"
    BEYOND_HORIZON = "BB-303"
    TOO_LATE = "BB-304"
    NO_DECISION = "BB-305"
    DECISION_USED_UP = "BB-306"
    IMPOSSIBLE_CHANGE = "BB-307"
    OVERLAPS_OWN = "BB-308"
    NO_SUCH_TIME = "BB-309"
    HOLD_EXPIRED = "BB-310"
    PAUSED = "BB-311"
    ALREADY_WAITING = "BB-312"
    TIME_IS_FREE = "BB-313"
    OFFER_EXPIRED = "BB-314"
    REASON_MISSING = "BB-315"
    LENGTH_NOT_OFFERED = "BB-316"
    # The rules of messages
    MESSAGE_LENGTH = "BB-317"
    MESSAGES_TODAY = "BB-318"
    NO_MESSAGES = "BB-319"
    UNKNOWN_THREAD = "BB-320"
    # More rules of booking
    PAST = "BB-321"
    OFF_GRID = "BB-322"
    # The rules of mandates
    MANDATE_EXISTS = "BB-323"
    MANDATES_ENOUGH = "BB-324"
    MANDATE_TO_SELF = "BB-325"
    # The files of messages
    ATTACHMENT_KIND = "BB-326"
    ATTACHMENTS_TOO_LARGE = "BB-327"
    # Reading and searching
    UNKNOWN_RESOURCE = "BB-401"
    DELETED = "BB-402"
    BAD_SEARCH = "BB-403"
    NOT_ACCEPTABLE = "BB-404"
    MANY_MATCHES = "BB-405"
    IN_USE = "BB-406"
    WRONG_MEDIA_TYPE = "BB-407"
    NO_SUCH_INTERACTION = "BB-408"
    BAD_PATCH = "BB-409"
    RECEIVER_GONE = "BB-410"
    # Access and operations of the FHIR API
    BAD_TOKEN = "BB-420"
    BAD_PROOF = "BB-421"
    DPOP_NONCE = "BB-422"
    SCOPE_MISSING = "BB-423"
    TOO_MANY = "BB-424"
    BAD_CLIENT = "BB-425"
    BAD_GRANT = "BB-426"
    BAD_SUBSCRIPTION = "BB-428"
    BAD_EXPORT = "BB-429"
    NOT_SYNTHETIC = "BB-430"
    OTHER_RESOURCE = "BB-431"
    # What did not work out
    UNAVAILABLE = "BB-901"
    NOT_DELIVERED = "BB-902"

    @property
    def text(self) -> str:
        """The Norwegian sentence for people; says what the sender can do."""
        return TEXT[self]


TEXT: dict[Problem, str] = {
    Problem.UNREADABLE: "Meldingen kunne ikke leses. Kontroller at den er hel og har riktig format.",
    Problem.TOO_LARGE: "Meldingen er for stor. Send mindre vedlegg.",
    Problem.UNKNOWN_PARTNER: "Avsenderen er ikke satt opp hos oss. Kontakt kommunens IT-drift.",
    Problem.WRONG_PARTY: "Avsender eller mottaker i meldingen stemmer ikke med avtalen.",
    Problem.BAD_SIGNATURE: "Signaturen stemmer ikke med innholdet. Meldingen kan være endret underveis.",
    Problem.NOT_COVERED: "Signaturen dekker ikke hele meldingen. Signer konvolutten og alle delene.",
    Problem.UNSIGNED: "Meldingen er ikke signert, men avtalen krever det.",
    Problem.WRONG_SIGNER: "Meldingen er signert med et annet sertifikat enn avtalen sier.",
    Problem.CERTIFICATE_EXPIRED: "Sertifikatet var ikke gyldig da meldingen ble signert.",
    Problem.CERTIFICATE_UNTRUSTED: "Sertifikatet er ikke utstedt av noen vi stoler på, eller skal ikke brukes til dette.",
    Problem.CERTIFICATE_REVOKED: "Sertifikatet er trukket tilbake. Bruk et nytt, og publiser det i Adresseregisteret.",
    Problem.NOT_DECRYPTABLE: "Innholdet kunne ikke dekrypteres. Kontroller at vårt gjeldende krypteringssertifikat er brukt.",
    Problem.ALTERED_DUPLICATE: "Meldings-id-en er brukt før med et annet innhold. Send med ny id.",
    Problem.EXPIRED: "Meldingen kom fram etter at fristen var gått ut.",
    Problem.UNKNOWN_AGREEMENT: "Avtalen, tjenesten eller handlingen er ukjent.",
    Problem.MISSING_PART: "En del som meldingen viser til, mangler.",
    Problem.NOT_SUPPORTED: "Meldingen bruker noe vi ikke støtter.",
    Problem.RECEIPT_DIFFERS: "Kvitteringen gjelder et annet innhold enn det vi sendte. Meldingen kan være endret på veien til dere.",
    Problem.TEST_MESSAGE: "Meldingen er merket som test og er ikke tatt inn. Send den uten testmerke, eller til et testmiljø.",
    Problem.NOT_AS_AGREED: "Meldingen ber om noe annet enn det avtalen sier om kvittering, duplikater eller svar på samme forbindelse.",
    Problem.NOT_AUTHENTICATED: "Du er ikke logget inn, eller tilgangen er utløpt.",
    Problem.LOGIN_REFUSED: "Innloggingen kunne ikke godkjennes. Prøv å logge inn på nytt.",
    Problem.LOGIN_TOO_WEAK: "Du må logge inn på det høyeste sikkerhetsnivået, for eksempel med BankID.",
    Problem.INVALID: "Innholdet følger ikke formatet.",
    Problem.UNKNOWN_CODE: "En kode i meldingen er ukjent.",
    Problem.UNKNOWN_FUNCTION: "Meldingstypen støttes ikke.",
    Problem.UNKNOWN_PERSON: "Personen finnes ikke hos oss.",
    Problem.UNKNOWN_SERVICE: "Tjenesten finnes ikke hos oss.",
    Problem.UNKNOWN_BOOKING: "Bestillingen finnes ikke hos oss.",
    Problem.OUT_OF_DATE: "Bestillingen er endret siden du leste den. Hent den på nytt.",
    Problem.NOT_ALLOWED: "Du har ikke tilgang til dette.",
    Problem.UNKNOWN_REFERENCE: "Kvitteringen gjelder en melding vi ikke har sendt.",
    Problem.OUTSIDE_OPENING_HOURS: "Tidspunktet er utenfor åpningstiden. Velg et annet tidspunkt.",
    Problem.FULL: "Denne tiden er opptatt. Velg en av de ledige tidene.",
    Problem.BEYOND_HORIZON: "Du kan ikke bestille så langt fram i tid.",
    Problem.TOO_LATE: "Det er for sent å bestille, endre eller avbestille dette tidspunktet. Ring oss.",
    Problem.NO_DECISION: "Personen har ikke vedtak om denne tjenesten.",
    Problem.DECISION_USED_UP: "Alle besøkene i vedtaket er allerede bestilt i denne perioden.",
    Problem.IMPOSSIBLE_CHANGE: "Bestillingen kan ikke endres slik nå.",
    Problem.OVERLAPS_OWN: "Personen har allerede et besøk på dette tidspunktet.",
    Problem.NO_SUCH_TIME: "Klokkeslettet finnes ikke denne dagen, fordi klokken stilles om.",
    Problem.HOLD_EXPIRED: "Tiden ble ikke holdt av lenger. Velg tiden på nytt.",
    Problem.PAUSED: "Besøkene er satt på pause i denne tiden. Ring oss hvis det er feil.",
    Problem.ALREADY_WAITING: "Personen står allerede på venteliste for denne tjenesten.",
    Problem.TIME_IS_FREE: "Det er ledig tid i tidsrommet. Velg en av de ledige tidene.",
    Problem.OFFER_EXPIRED: "Tilbudet gjelder ikke lenger. Du får et nytt når en annen tid blir ledig.",
    Problem.REASON_MISSING: "Skriv en begrunnelse. Den må være med når en regel fravikes.",
    Problem.PAST: "Dette tidspunktet er passert. Velg et tidspunkt fram i tid.",
    Problem.OFF_GRID: "Ingen besøk begynner akkurat da. Velg en av de ledige tidene.",
    Problem.LENGTH_NOT_OFFERED: "Besøket kan ikke vare så lenge. Velg en av lengdene som tilbys.",
    Problem.MESSAGE_LENGTH: "Meldingen er tom, eller for lang. Skriv en kortere melding, eller del den i to.",
    Problem.MESSAGES_TODAY: "Du kan ikke sende flere meldinger i dag. Ring oss hvis det ikke kan vente til i morgen.",
    Problem.NO_MESSAGES: "Avdelingen tar ikke imot meldinger her. Ring oss.",
    Problem.UNKNOWN_THREAD: "Samtalen finnes ikke.",
    Problem.MANDATE_EXISTS: "Denne personen har fullmakt fra deg fra før. Avslutt den først, og gi en ny.",
    Problem.MANDATES_ENOUGH: "Du har gitt så mange fullmakter som det går an. Avslutt en av dem først.",
    Problem.MANDATE_TO_SELF: "Du kan ikke gi fullmakt til deg selv.",
    Problem.ATTACHMENT_KIND: "Et vedlegg kan ikke sendes. Vedlegg må være PDF, JPEG eller PNG, og ikke tomme.",
    Problem.ATTACHMENTS_TOO_LARGE: "Vedleggene er for mange, eller for store til sammen. Send færre eller mindre filer.",
    Problem.UNKNOWN_RESOURCE: "Ressursen finnes ikke.",
    Problem.DELETED: "Ressursen er slettet.",
    Problem.BAD_SEARCH: "Søket har en ugyldig parameter.",
    Problem.NOT_ACCEPTABLE: "Formatet støttes ikke. Bruk application/fhir+json.",
    Problem.MANY_MATCHES: "Flere ressurser passer med betingelsen. Gjør den mer presis.",
    Problem.IN_USE: "Ressursen kan ikke slettes: den er i bruk, eller hører til journalen. Avlys den, eller merk den som feilført.",
    Problem.WRONG_MEDIA_TYPE: "Innholdstypen støttes ikke her. Bruk application/fhir+json eller application/fhir+xml.",
    Problem.NO_SUCH_INTERACTION: "Dette kan ikke gjøres med denne ressurstypen. Se CapabilityStatement på /metadata.",
    Problem.BAD_PATCH: "Endringen kan ikke brukes på ressursen slik den er nå.",
    Problem.RECEIVER_GONE: "Mottakeren svarer at adressen er lagt ned. Det sendes ikke mer dit.",
    Problem.BAD_TOKEN: "Tilgangstokenet er ugyldig eller utløpt. Hent et nytt.",
    Problem.BAD_PROOF: "DPoP-beviset er ugyldig, for gammelt eller brukt før. Lag et nytt for hver forespørsel.",
    Problem.DPOP_NONCE: "DPoP-beviset må ha vår nonce. Bruk verdien i svaret og prøv igjen.",
    Problem.SCOPE_MISSING: "Tilgangstokenet gir ikke rett til dette. Be om flere scopes, eller kontakt kommunens IT-drift.",
    Problem.TOO_MANY: "For mange forespørsler. Vent så lenge svaret sier, og prøv igjen.",
    Problem.BAD_CLIENT: "Klienten kunne ikke bekreftes. Kontroller klient-id, nøkkel og klokke.",
    Problem.BAD_GRANT: "Tokenforespørselen er ugyldig. Bruk client_credentials med private_key_jwt.",
    Problem.BAD_SUBSCRIPTION: "Abonnementet kan ikke opprettes slik. Kontroller emne, filter, kanal og adresse.",
    Problem.BAD_EXPORT: "Eksporten kan ikke startes slik. Kontroller Prefer, _type, _since og _outputFormat.",
    Problem.NOT_SYNTHETIC: "Dette er en sandkasse for oppdiktede personer. Bruk syntetiske fødselsnummer (måned + 80).",
    Problem.OTHER_RESOURCE: "Adressen og innholdet gjelder ikke samme ressurs. Kontroller type og id.",
    Problem.UNAVAILABLE: "Vi får ikke kontakt akkurat nå. Ingenting er endret. Prøv igjen senere.",
    Problem.NOT_DELIVERED: "Meldingen kom ikke fram til mottakeren innen fristen.",
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One of the things that are wrong with a resource. `code` is an OperationOutcome issue code; `expression` a FHIRPath."""

    code: str
    expression: str
    text: str
    problem: Problem = Problem.INVALID
    rule: str = ""
    """The invariant's key, where it is one: `app-2`."""
    severity: str = "error"
    """`error`; or `warning` or `information`, for which nothing is refused."""


class Refused(Exception):
    """The sender must change something.

    `detail` is English, technical and for the sender's developers; never a name, number or health word.
    `where` points into what was sent (XPath, FHIRPath, JSON pointer or `cid:`).
    `issues` are all that is wrong with a resource, where more than one thing can be; the first is `detail` and `where`.
    """

    def __init__(self, problem: Problem, detail: str, where: str = "", issues: tuple[Issue, ...] = ()) -> None:
        super().__init__(f"{problem.value} {problem.name}: {detail}" + (f" at {where}" if where else ""))
        self.problem = problem
        self.detail = detail
        self.where = where
        self.issues = issues
        self.asked: object = None
        """Who asked for what, where a time was asked for (`asked_by`)."""
        self.instead: tuple[tuple[datetime, datetime], ...] = ()
        """Free times nearest to the one that was asked for, [from, until), where they were looked for (`hub.elsewhen`)."""

    def within(self, place: str) -> Refused:
        """The same, of a resource that is a part of what was sent: `Device.status` becomes `<place>.resource.status`."""

        def moved(where: str) -> str:
            return f"{place}.resource{where[where.find('.'):] if '.' in where else ''}" if where[:1].isupper() else place

        issues = tuple(replace(issue, expression=moved(issue.expression)) for issue in self.issues)
        return Refused(self.problem, self.detail, moved(self.where), issues)


@contextmanager
def asked_by(who: object, what: object) -> Iterator[None]:
    """A refusal within remembers who asked for what: for `hub.elsewhen`, when it has left the transaction."""
    try:
        yield
    except Refused as refused:
        refused.asked = refused.asked or (who, what)
        raise


class Unavailable(Exception):
    """Nobody's fault; later may work. `detail` names what did not answer, never what was asked."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        """Seconds, when whoever did not answer told."""
