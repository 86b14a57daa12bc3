PRAGMA application_id = 1314080324;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE compliances (compliance_row INTEGER PRIMARY KEY, "compliance_reference" TEXT, "compliance_check_name" TEXT, "compliance_check_id" TEXT, "compliance_result" TEXT, "compliance_actual_value" TEXT, "compliance_policy_value" TEXT, "compliance_info" TEXT, "compliance_solution" TEXT, "compliance_see_also" TEXT, "compliance_source" TEXT, "compliance_audit_file" TEXT, "compliance_check_type" TEXT, "compliance_uname" TEXT, "compliance_error" TEXT, "compliance_functional_id" TEXT, "compliance_informational_id" TEXT, "compliance_full_id" TEXT, "compliance_control_id" TEXT, "compliance_benchmark_name" TEXT, "compliance_benchmark_version" TEXT, "compliance_benchmark_profile" TEXT);
INSERT INTO "compliances" VALUES(1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "compliances" VALUES(4,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE findings (
  finding_row INTEGER PRIMARY KEY, "index" INTEGER NOT NULL, severity INTEGER NOT NULL,
  plugin_row INTEGER NOT NULL, host_row INTEGER NOT NULL, service_row INTEGER NOT NULL,
  output_row INTEGER NOT NULL, compliance_row INTEGER NOT NULL, same INTEGER NOT NULL
);
INSERT INTO "findings" VALUES(1,0,3,1,1,1,1,1,-4376669377009832143);
INSERT INTO "findings" VALUES(2,1,3,2,1,2,1,1,6668469274385557226);
INSERT INTO "findings" VALUES(4,0,3,1,4,4,4,4,-4376669377009832143);
CREATE TABLE host_tally (
  host_row INTEGER NOT NULL, severity INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (host_row, severity)
) WITHOUT ROWID;
INSERT INTO "host_tally" VALUES(1,3,2);
INSERT INTO "host_tally" VALUES(4,3,1);
CREATE TABLE hosts (host_row INTEGER PRIMARY KEY, "host_credentialed" INTEGER, "host_started_at" REAL, "host_ended_at" REAL, "host_mac_address" TEXT, "host_os" TEXT, "host" TEXT, "host_name" TEXT, "host_ip" TEXT, "host_fqdn" TEXT, "host_rdns" TEXT, "host_netbios_name" TEXT, "host_hostname" TEXT, "host_os_family" TEXT, "host_system_type" TEXT, "host_policy" TEXT, "host_local_start" TEXT, "host_local_end" TEXT);
INSERT INTO "hosts" VALUES(1,NULL,NULL,5.0,NULL,NULL,'192.0.2.1','192.0.2.1','192.0.2.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2025-03-03T10:10:00');
INSERT INTO "hosts" VALUES(4,NULL,NULL,5.0,NULL,NULL,'192.0.2.1','192.0.2.1','192.0.2.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2025-03-03T10:10:00');
CREATE TABLE outputs (output_row INTEGER PRIMARY KEY, "plugin_output" TEXT);
INSERT INTO "outputs" VALUES(1,NULL);
INSERT INTO "outputs" VALUES(4,NULL);
CREATE TABLE plugin_tally (
  scan INTEGER NOT NULL, plugin_row INTEGER NOT NULL, severity INTEGER NOT NULL,
  n INTEGER NOT NULL, PRIMARY KEY (scan, plugin_row, severity)
) WITHOUT ROWID;
INSERT INTO "plugin_tally" VALUES(1,1,3,1);
INSERT INTO "plugin_tally" VALUES(1,2,3,1);
INSERT INTO "plugin_tally" VALUES(2,1,3,1);
CREATE TABLE plugins (plugin_row INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, "plugin_id" INTEGER, "plugin_publication_date" TEXT, "plugin_modification_date" TEXT, "vuln_publication_date" TEXT, "patch_publication_date" TEXT, "cvss_base_score" REAL, "cvss_temporal_score" REAL, "cvss3_base_score" REAL, "cvss3_temporal_score" REAL, "cvss3_impact_score" REAL, "cvss4_base_score" REAL, "cvss4_threat_score" REAL, "vpr_score" REAL, "epss_score" REAL, "exploit_available" INTEGER, "exploited_by_malware" INTEGER, "exploited_by_nessus" INTEGER, "exploit_framework_core" INTEGER, "exploit_framework_metasploit" INTEGER, "exploit_framework_canvas" INTEGER, "exploit_framework_d2_elliot" INTEGER, "exploit_framework_exploithub" INTEGER, "in_the_news" INTEGER, "unsupported_by_vendor" INTEGER, "vendor_unpatched" INTEGER, "default_account" INTEGER, "cisa_known_exploited" TEXT, "asset_inventory" INTEGER, "hardware_inventory" INTEGER, "os_identification" INTEGER, "always_run" INTEGER, "thorough_tests" INTEGER, "cvss_score" REAL, "cisa_kev" INTEGER, "edb_id" TEXT, "cve" TEXT, "bid" TEXT, "cwe" TEXT, "xref" TEXT, "see_also" TEXT, "cpe" TEXT, "osvdb" TEXT, "iava" TEXT, "iavb" TEXT, "iavt" TEXT, "cert" TEXT, "secunia" TEXT, "owasp" TEXT, "tra" TEXT, "rhsa" TEXT, "usn" TEXT, "dsa" TEXT, "msft" TEXT, "mskb" TEXT, "agent" TEXT, "plugin_name" TEXT, "plugin_family" TEXT, "plugin_type" TEXT, "plugin_version" TEXT, "script_version" TEXT, "fname" TEXT, "synopsis" TEXT, "description" TEXT, "solution" TEXT, "risk_factor" TEXT, "stig_severity" TEXT, "vendor_severity" TEXT, "cvss_vector" TEXT, "cvss_temporal_vector" TEXT, "cvss3_vector" TEXT, "cvss3_temporal_vector" TEXT, "cvss4_vector" TEXT, "cvss4_threat_vector" TEXT, "cvss_score_source" TEXT, "cvss_score_rationale" TEXT, "exploitability_ease" TEXT, "exploit_code_maturity" TEXT, "metasploit_name" TEXT, "canvas_package" TEXT, "d2_elliot_name" TEXT, "age_of_vuln" TEXT, "product_coverage" TEXT, "threat_intensity_last_28" TEXT, "threat_recency" TEXT, "threat_sources_last_28" TEXT, "asset_inventory_category" TEXT, "generated_plugin" TEXT);
INSERT INTO "plugins" VALUES(1,X'7F8A4AA306E664C80C503B844DC7FC1C',10,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,'["CVE-2024-1"]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'One',NULL,'remote',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "plugins" VALUES(2,X'8B9AADD440F7A9DD2DCE71E8823BFF16',11,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'Two',NULL,'remote',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE scans (
  scan INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id TEXT NOT NULL, imported_at REAL NOT NULL, ready INTEGER NOT NULL DEFAULT 1,
  first_row INTEGER NOT NULL, last_row INTEGER NOT NULL, counts TEXT NOT NULL DEFAULT '[]'
);
INSERT INTO "scans" VALUES(1,'t00000001',10.0,1,1,3,'[0, 2, 0, 0, 0, 0]');
INSERT INTO "scans" VALUES(2,'t00000002',20.0,1,4,5,'[0, 1, 0, 0, 0, 0]');
CREATE TABLE services (service_row INTEGER PRIMARY KEY, "port" INTEGER, "protocol" TEXT, "svc_name" TEXT);
INSERT INTO "services" VALUES(1,80,'tcp','www');
INSERT INTO "services" VALUES(2,443,'tcp','www');
INSERT INTO "services" VALUES(4,80,'tcp','www');
CREATE UNIQUE INDEX scans_by_task ON scans (task_id) WHERE ready;
CREATE INDEX findings_by_plugin ON findings (plugin_row);
CREATE INDEX findings_by_host ON findings (host_row);
CREATE INDEX plugin_tally_by_plugin ON plugin_tally (plugin_row);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('scans',2);
COMMIT;
