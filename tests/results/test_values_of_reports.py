"""Values that reports spell in several ways, or give more than once."""

from __future__ import annotations

from support.nessus_xml import document, element, findings_of, host, item, output, read


def test_a_weakness_has_one_spelling() -> None:
    data = document(
        host(
            "192.0.2.1",
            item(1, element("cwe", "CWE-20"), element("xref", "CWE:20")),
            item(2, element("cwe", "20"), element("cwe", "cwe:79")),
            item(3, element("xref", "CWE:20"), element("xref", "IAVA:2019-A-0132")),
            item(4, element("cwe", "other")),
        )
    )
    plugins = [finding.plugin for finding in findings_of(read(data)[0])]
    assert [plugin.cwe for plugin in plugins] == [("20",), ("20", "79"), ("20",), ("other",)]
    assert plugins[2].xref == ("CWE:20", "IAVA:2019-A-0132")


def test_both_outputs_are_kept() -> None:
    (finding,) = findings_of(read(document(host("a", item(1, output("one"), output("two")))))[0])
    assert finding.plugin_output == "one\ntwo"


def test_the_priority_rating_of_other_exports() -> None:
    rated = item(1, element("vulnerability_priority_rating", "7.4"))
    (finding,) = findings_of(read(document(host("a", rated)))[0])
    assert finding.plugin.vpr_score == 7.4
