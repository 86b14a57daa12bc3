"""DefectDojo: which test a scan belongs to, what may be closed, and the upload."""
