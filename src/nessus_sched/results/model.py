"""The typed model of a `.nessus` report: hosts, plugins, findings and compliance checks.

A value that the scanner did not send is None (an empty tuple for a list), never 0, False or
"". An unreadable value is None, too; its text is then in `Finding.extra`, and the parse report
has a problem.

A finding is one ReportItem. Texts and scores that are the same on every host are in a
`Plugin`, so that they can be stored once. Findings with the same plugin id may have different
`Plugin`s, because compliance checks have their own texts. Store plugins by their whole value,
never by id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from nessus_sched.results.columns import Kind, column

SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
"""Names of the severities 0 to 4."""

UNKNOWN_SEVERITY: Final = "unknown"
"""For a finding whose severity is missing or unreadable."""

NO_SEVERITY: Final = -1
"""The number for `unknown` in conditions and in stores; sorts after info."""

KEV_XREF: Final = "CISA-KNOWN-EXPLOITED:"


@attrs.frozen(kw_only=True)
class Plugin:
    """Data about a check that is the same for every host.

    Attributes are named after the elements of the report, with `_` for `-`.
    """

    plugin_id: int | None = column(Kind.INTEGER, "Id of the check; 0 for a bare open port.")
    plugin_name: str | None = column(Kind.TEXT, "Title of the check.")
    plugin_family: str | None = column(Kind.TEXT, "Family of the check.")
    plugin_type: str | None = column(Kind.TEXT, "How it checks: remote, local, combined ...")
    plugin_version: str | None = column(Kind.TEXT, "Version of the check, in old reports.")
    script_version: str | None = column(Kind.TEXT, "Version of the check.")
    fname: str | None = column(Kind.TEXT, "File of the check.")
    plugin_publication_date: str | None = column(Kind.DATE, "When the check was published.")
    plugin_modification_date: str | None = column(Kind.DATE, "When the check last changed.")
    vuln_publication_date: str | None = column(Kind.DATE, "When the vulnerability was published.")
    patch_publication_date: str | None = column(Kind.DATE, "When a patch was published.")
    synopsis: str | None = column(Kind.TEXT, "One sentence on the finding.")
    description: str | None = column(Kind.TEXT, "Detailed description.")
    solution: str | None = column(Kind.TEXT, "What to do about it.")
    risk_factor: str | None = column(
        Kind.TEXT, "Tenable's word for the risk; not the severity, which follows another scale."
    )
    stig_severity: str | None = column(Kind.TEXT, "STIG category I, II or III.")
    vendor_severity: str | None = column(Kind.TEXT, "The vendor's own word for the severity.")

    cvss_base_score: float | None = column(
        Kind.NUMBER, "CVSS v2 base score.", aliases=("cvss",), most=10
    )
    cvss_vector: str | None = column(Kind.TEXT, "CVSS v2 vector.")
    cvss_temporal_score: float | None = column(Kind.NUMBER, "CVSS v2 temporal score.", most=10)
    cvss_temporal_vector: str | None = column(Kind.TEXT, "CVSS v2 temporal vector.")
    cvss3_base_score: float | None = column(
        Kind.NUMBER, "CVSS v3 base score.", aliases=("cvssv3",), most=10
    )
    cvss3_vector: str | None = column(Kind.TEXT, "CVSS v3 vector.")
    cvss3_temporal_score: float | None = column(Kind.NUMBER, "CVSS v3 temporal score.", most=10)
    cvss3_temporal_vector: str | None = column(Kind.TEXT, "CVSS v3 temporal vector.")
    cvss3_impact_score: float | None = column(
        Kind.NUMBER, "CVSS v3 impact subscore.", element="cvssV3_impactScore", most=10
    )
    cvss4_base_score: float | None = column(Kind.NUMBER, "CVSS v4 base score.", most=10)
    cvss4_vector: str | None = column(Kind.TEXT, "CVSS v4 vector.")
    cvss4_threat_score: float | None = column(Kind.NUMBER, "CVSS v4 threat score.", most=10)
    cvss4_threat_vector: str | None = column(Kind.TEXT, "CVSS v4 threat vector.")
    cvss_score_source: str | None = column(Kind.TEXT, "Where the scores come from.")
    cvss_score_rationale: str | None = column(Kind.TEXT, "Why the scores are what they are.")
    vpr_score: float | None = column(
        Kind.NUMBER, "Tenable's Vulnerability Priority Rating.",
        aliases=("vulnerability_priority_rating",), most=10,
    )  # fmt: skip
    epss_score: float | None = column(
        Kind.NUMBER, "Exploit Prediction Scoring System, 0 to 1.", most=1
    )

    exploit_available: bool | None = column(Kind.FLAG, "A public exploit exists.")
    exploitability_ease: str | None = column(Kind.TEXT, "How easy an exploit is, in words.")
    exploit_code_maturity: str | None = column(Kind.TEXT, "Unproven, PoC, Functional or High.")
    exploited_by_malware: bool | None = column(Kind.FLAG, "Malware is known to use it.")
    exploited_by_nessus: bool | None = column(Kind.FLAG, "Nessus exploited it in this scan.")
    exploit_framework_core: bool | None = column(Kind.FLAG, "Core Impact has an exploit.")
    exploit_framework_metasploit: bool | None = column(Kind.FLAG, "Metasploit has a module.")
    exploit_framework_canvas: bool | None = column(Kind.FLAG, "CANVAS has an exploit.")
    exploit_framework_d2_elliot: bool | None = column(Kind.FLAG, "D2 Elliot has an exploit.")
    exploit_framework_exploithub: bool | None = column(Kind.FLAG, "ExploitHub has an exploit.")
    metasploit_name: str | None = column(Kind.TEXT, "Name of the Metasploit module.")
    canvas_package: str | None = column(Kind.TEXT, "Name of the CANVAS package.")
    d2_elliot_name: str | None = column(Kind.TEXT, "Name of the D2 Elliot exploit.")
    edb_id: tuple[str, ...] = column(Kind.LIST, "Exploit-DB ids.", element="edb-id")
    in_the_news: bool | None = column(Kind.FLAG, "It was in the news.")
    unsupported_by_vendor: bool | None = column(Kind.FLAG, "The product is out of support.")
    vendor_unpatched: bool | None = column(Kind.FLAG, "The vendor has no patch.")
    default_account: bool | None = column(Kind.FLAG, "About a default account or password.")
    age_of_vuln: str | None = column(Kind.TEXT, "Age of the vulnerability, as a range of days.")
    product_coverage: str | None = column(Kind.TEXT, "How many products are affected.")
    threat_intensity_last_28: str | None = column(Kind.TEXT, "Threat activity in 28 days.")
    threat_recency: str | None = column(Kind.TEXT, "When threat activity was last seen.")
    threat_sources_last_28: str | None = column(Kind.TEXT, "Where threat activity was seen.")

    cve: tuple[str, ...] = column(Kind.LIST, "CVE ids.")
    bid: tuple[str, ...] = column(Kind.LIST, "Bugtraq ids.")
    cwe: tuple[str, ...] = column(Kind.LIST, "CWE ids as numbers, also from xref.")
    xref: tuple[str, ...] = column(Kind.LIST, "Cross references, `TYPE:value`.")
    see_also: tuple[str, ...] = column(Kind.LIST, "Links to read.", split=True)
    cpe: tuple[str, ...] = column(Kind.LIST, "Platforms that the check applies to.", split=True)
    osvdb: tuple[str, ...] = column(Kind.LIST, "OSVDB ids, in old reports.")
    iava: tuple[str, ...] = column(Kind.LIST, "Information assurance alerts (A).")
    iavb: tuple[str, ...] = column(Kind.LIST, "Information assurance bulletins (B).")
    iavt: tuple[str, ...] = column(Kind.LIST, "Information assurance advisories (T).")
    cert: tuple[str, ...] = column(Kind.LIST, "CERT vulnerability notes.")
    secunia: tuple[str, ...] = column(Kind.LIST, "Secunia advisories.")
    owasp: tuple[str, ...] = column(Kind.LIST, "OWASP ids.")
    tra: tuple[str, ...] = column(Kind.LIST, "Tenable research advisories.")
    rhsa: tuple[str, ...] = column(Kind.LIST, "Red Hat advisories.")
    usn: tuple[str, ...] = column(Kind.LIST, "Ubuntu notices.")
    dsa: tuple[str, ...] = column(Kind.LIST, "Debian advisories.")
    msft: tuple[str, ...] = column(Kind.LIST, "Microsoft bulletins.")
    mskb: tuple[str, ...] = column(Kind.LIST, "Microsoft knowledge base articles.")
    agent: tuple[str, ...] = column(Kind.LIST, "Agents that can run the check.", split=True)
    cisa_known_exploited: str | None = column(
        Kind.DATE,
        "Date in CISA's catalog of known exploited vulnerabilities.",
        element="cisa-known-exploited",
    )

    asset_inventory: bool | None = column(Kind.FLAG, "The check collects inventory.")
    asset_inventory_category: str | None = column(Kind.TEXT, "Kind of that inventory.")
    hardware_inventory: bool | None = column(Kind.FLAG, "The check collects hardware inventory.")
    os_identification: bool | None = column(Kind.FLAG, "The check identifies the system.")
    always_run: bool | None = column(Kind.FLAG, "The check runs in every scan.")
    thorough_tests: bool | None = column(Kind.FLAG, "The check runs in thorough scans only.")
    generated_plugin: str | None = column(Kind.TEXT, "How the check was generated.")

    cvss_score: float | None = column(
        Kind.NUMBER,
        "Base score of the newest CVSS version given (4, else 3, else 2).",
        derived=True,
    )
    cisa_kev: bool = column(
        Kind.FLAG, "The report marks it as known to be exploited (CISA KEV).", derived=True
    )

    @property
    def bare(self) -> bool:
        """Whether only the title was exported: no texts, scores or references."""
        texts = (self.synopsis, self.description, self.solution, self.risk_factor)
        return not any((*texts, self.cvss_score, self.cve, self.xref))

    @cvss_score.default
    def _newest_cvss(self) -> float | None:
        for score in (self.cvss4_base_score, self.cvss3_base_score):
            if score is not None:
                return score
        return self.cvss_base_score

    @cisa_kev.default
    def _in_kev(self) -> bool:
        marked = any(text.upper().startswith(KEV_XREF) for text in self.xref)
        return marked or self.cisa_known_exploited is not None


@attrs.frozen(kw_only=True)
class ComplianceResult:
    """One check of an audit; attributes are the `cm:compliance-*` elements.

    `result` is the scanner's word in upper case, usually one of `COMPLIANCE_RESULTS`.
    Many checks share one plugin id: a check is identified by `check_id`, or by `check_name`
    and `audit_file`.
    """

    check_name: str | None = column(Kind.TEXT, "Name of the check.")
    check_id: str | None = column(Kind.TEXT, "Id of the check.")
    result: str | None = column(Kind.TEXT, "PASSED, FAILED, WARNING or ERROR.")
    actual_value: str | None = column(Kind.TEXT, "What was found on the host.")
    policy_value: str | None = column(Kind.TEXT, "What the audit requires.")
    info: str | None = column(Kind.TEXT, "What the check is about.")
    solution: str | None = column(Kind.TEXT, "What to do about it.")
    see_also: str | None = column(Kind.TEXT, "Link to read.")
    reference: tuple[str, ...] = column(
        Kind.LIST, "Places in frameworks, `FRAMEWORK|id`.", split=","
    )
    source: str | None = column(Kind.TEXT, "Where the check comes from.")
    audit_file: str | None = column(Kind.TEXT, "Name of the audit file.")
    check_type: str | None = column(
        Kind.TEXT, "Kind of the audit.", element="compliance_check_type"
    )
    uname: str | None = column(Kind.TEXT, "System the check ran on.")
    error: str | None = column(Kind.TEXT, "Why the check could not run.")
    functional_id: str | None = column(Kind.TEXT, "Tenable's id of what the check does.")
    informational_id: str | None = column(Kind.TEXT, "Tenable's id of the check's texts.")
    full_id: str | None = column(Kind.TEXT, "Tenable's id of check and texts.")
    control_id: str | None = column(Kind.TEXT, "Tenable's id of the control.")
    benchmark_name: str | None = column(Kind.TEXT, "Name of the benchmark.")
    benchmark_version: str | None = column(Kind.TEXT, "Version of the benchmark.")
    benchmark_profile: str | None = column(Kind.TEXT, "Profile of the benchmark.")


COMPLIANCE_RESULTS: Final = ("PASSED", "FAILED", "WARNING", "ERROR")


@attrs.frozen(kw_only=True)
class Finding:
    """One ReportItem: a plugin fired on a port of a host.

    `index` counts the findings of a report from 0, `host_index` its hosts; together they
    distinguish findings that the report repeats verbatim. `host` is the host's key.
    """

    index: int = column(
        Kind.INTEGER, "Position of the finding in the report, from 0.", required=True
    )
    host_index: int = column(
        Kind.INTEGER, "Position of its host in the report, from 0.", required=True
    )
    host: str = column(Kind.TEXT, "The host, as the report names it, in lower case.", required=True)
    port: int | None = column(
        Kind.INTEGER, "Port; 0 when the finding is about the host.", most=65535
    )
    protocol: str | None = column(Kind.TEXT, "tcp, udp or icmp.")
    svc_name: str | None = column(Kind.TEXT, "Name of the service.")
    severity: int | None = column(
        Kind.SEVERITY, "info, low, medium, high or critical; unknown if it cannot be read."
    )
    plugin: Plugin
    plugin_output: str | None = column(Kind.TEXT, "What the check saw on this host.")
    compliance: ComplianceResult | None = None
    extra: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Elements without a field, and the text of unreadable values, by their name in the
    report (`@name` for an attribute)."""

    @property
    def output_text(self) -> str:
        """The output of the check. Nessus 4 puts the output of checks without texts into
        their description."""
        plugin = self.plugin
        if self.plugin_output is not None or plugin.synopsis or plugin.solution:
            return self.plugin_output or ""
        return plugin.description or ""


@attrs.frozen(kw_only=True)
class HostReport:
    """One ReportHost. `name` is as in the report: an address, a name or a URL.

    `started_at` and `ended_at` are epoch seconds and only given where the report says so
    without doubt; `local_start` and `local_end` are the scanner's own clock (ISO 8601
    without zone), as in all reports. A host that is in several elements has the same `index`
    in each.
    """

    index: int = column(Kind.INTEGER, "Position of the host in the report, from 0.", required=True)
    name: str = column(Kind.TEXT, "The host as the report names it.", required=True)
    ip: str | None = column(Kind.TEXT, "Address.", element="host-ip")
    fqdn: str | None = column(Kind.TEXT, "Name in the DNS.", element="host-fqdn")
    rdns: str | None = column(Kind.TEXT, "Name of the address in the DNS.", element="host-rdns")
    netbios_name: str | None = column(Kind.TEXT, "NetBIOS name.", element="netbios-name")
    hostname: str | None = column(Kind.TEXT, "Name of the host on the host itself.")
    mac_address: tuple[str, ...] = column(
        Kind.LIST, "Hardware addresses.", element="mac-address", split=True
    )
    os: tuple[str, ...] = column(
        Kind.LIST, "Operating system, best guesses.", element="operating-system", split=True
    )
    os_family: str | None = column(Kind.TEXT, "Kind of operating system.", element="os")
    system_type: str | None = column(Kind.TEXT, "general-purpose ...", element="system-type")
    credentialed: bool | None = column(
        Kind.FLAG, "The scanner's own tag for a login.", element="Credentialed_Scan"
    )
    policy: str | None = column(Kind.TEXT, "Policy of the scan.", element="policy-used")
    started_at: float | None = column(
        Kind.TIME, "When the host's scan began.", element="HOST_START_TIMESTAMP"
    )
    ended_at: float | None = column(
        Kind.TIME, "When the host's scan ended.", element="HOST_END_TIMESTAMP"
    )
    local_start: str | None = column(
        Kind.TEXT, "Start on the scanner's clock.", element="HOST_START"
    )
    local_end: str | None = column(Kind.TEXT, "End on the scanner's clock.", element="HOST_END")
    login: str | None = column(
        Kind.TEXT, "How the login went: full, partial, failed, not_provided, none, unknown.",
        judged=True,
    )  # fmt: skip
    privilege: str | None = column(
        Kind.TEXT, "Whether the account's rights sufficed: sufficient, insufficient, unknown.",
        judged=True,
    )  # fmt: skip
    logins: tuple[str, ...] = column(
        Kind.LIST, "The logins that worked, as credential (protocol as user).", judged=True
    )
    login_reasons: tuple[str, ...] = column(
        Kind.LIST, "Why the login failed or is not a full one.", judged=True
    )
    properties: Mapping[str, str] = attrs.field(factory=dict)
    """All tags of the host as in the report."""

    @property
    def key(self) -> str:
        return host_key(self.name)


@attrs.frozen(kw_only=True)
class HostEnd:
    """The end of a host in a parser's stream. `host` is complete here, even if the report has
    properties after the findings; `complete` is False if the report broke off within the
    host."""

    host: HostReport
    findings: int
    complete: bool = True


def host_key(name: str) -> str:
    """The key that identifies a host across reports: its scanned name in lower case, without
    the final dot of a DNS name."""
    return name.strip().rstrip(".").lower()


def severity_name(severity: int | None) -> str:
    """`info` to `critical`, or `unknown` for a finding without a readable severity."""
    return UNKNOWN_SEVERITY if severity is None else SEVERITIES[severity]


def plain(value: Any) -> Any:
    """A value of these classes as JSON-compatible data, with lists for tuples."""
    if attrs.has(type(value)):
        return {key: plain(item) for key, item in attrs.asdict(value, recurse=False).items()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
