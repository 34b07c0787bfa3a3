package hostile

// here are the vectors of a section that its test in this package holds.
func here(section string) []string {
	switch section {
	case Manifests:
		return []string{
			"another body than the digest says", "wrong digest header", "HEAD and GET disagree", "manifest over 4 MiB", "manifest without end",
			"content encoding gzip", "no media type", "media type against content type", "image and index in one", "duplicate keys",
			"keys that differ in case", "Docker schema 1", "an index", "no layer", "two layers", "layer size negative", "layer size 2^62",
			"layer size 20 MiB over the bytes", "layer size smaller than the bytes", "layer of other bytes", "layer without end",
			"layer with foreign urls", "annotation of 1 MiB", "100,000 annotations", "revision with escape codes",
			"blob redirected to another host", "blob redirected to plain HTTP", "blob redirected to a metadata address", "one byte a second",
		}
	case Referrers:
		return []string{
			"9,999 descriptors behind ours", "9,999 descriptors before ours", "10,001 descriptors before ours", "pages without end",
			"next page on another host", "of another subject", "of no subject", "manifest that is not what the descriptor says", "with no layer",
			"with two layers", "odd one beside ours", "bundle of 200 KiB that inflates to 200 MiB", "bundle of 1 MB",
			"tag index instead of the API", "registry that answers 500", "bundles by 500 strangers", "descriptors that lie",
		}
	case Signatures:
		return []string{
			"statement of another digest", "payload of another digest", "bundle copied from another artifact",
			"legacy signature copied from another artifact", "same digest under another repository name", "wrong key", "key of another algorithm",
			"RSA 1024", "P-224", "same signature three times where two are required", "two authorities of one key where two are required",
			"100,000 signature layers", "10,000 signature layers", "certificate annotation of blanks", "bundle annotation whose body is a number",
			"bundle annotation whose body is null", "payload with duplicate keys", "payload without type", "payload with trailing bytes",
			"statement with two subjects", "statement of another type", "statement 20,000 levels deep", "statement with duplicate keys",
			`attestation "FAILED" as the signature`, "bundle without an envelope", "bundle with two signatures", "bundle with a null log entry",
			"bundle 50,000 levels deep", "only .sig where the policy says bundle", "no signature at all",
		}
	case Order:
		return []string{
			"sequence -1", "sequence 1e9", "sequence with a blank", "sequence 007", "sequence 2^64", "tag moved back",
			"equal sequence from another commit",
		}
	case Archives:
		return []string{
			"name that climbs out", "name that climbs out from below", "absolute name", "name with backslashes", "empty name", "name that is a dot",
			"name with NUL", "name over 4,096 bytes", "name of invalid UTF-8", "name with escape codes", "file that is a folder too",
			"duplicate name", "duplicate name by case", "duplicate name by Unicode form", "symbolic link", "hard link", "character device",
			"block device", "FIFO", "set-uid modes and huge ids", "sparse file", "old sparse file", "size of a terabyte",
			"size larger than the archive", "a million empty files", "10,000 levels", "65 levels", "archive without its end", "data after the end",
			"two archives in one", "bad checksum", "100 MiB of global headers", "gzip of 1 GiB of zeros", "gzip of a file of 1 GiB",
			"gzip of 1 GiB in files of 16 MiB", "several gzip members", "gzip with a wrong sum", "gzip with a wrong length", "truncated gzip",
			"garbage after gzip", "no gzip at all", "truncated at %d bytes",
		}
	case YAML:
		return []string{
			"billion laughs", "quadratic aliases", "alias cycle", "alias cycle over two", "100,000 brackets deep", "101 levels deep",
			"100,000 documents", "20,001 documents", "scalar of 256 MiB", "scalar of 5 MiB", "400,000 values", "values in many files",
			"20 MiB of texts", "300,000 empty values", "dashes", "duplicate keys", "duplicate keys by type", "duplicate keys in JSON in YAML",
			"merge key that smuggles a namespace", "merge key that smuggles a kind", "merge key in a list's item", "UTF-16", "NUL",
			"control characters", "list with a forbidden child", "lists 1,000 deep", "missing name", "generateName", "owner references",
			"name with a slash", "name with an escaped slash", "name of dots", "namespace of dots", "name with escape codes", "name yes",
			"name 0x1F", "name 1e3", "name 012", "PNG named .yaml", "object there twice", "second document without a marker",
			"status, uid and managedFields",
		}
	case Access:
		return []string{
			"realm on another host", "realm on a metadata address", "realm by plain HTTP", "realm by a name that resolves to loopback",
			"realm that is a file", "realm with a user", "realm with a backslash", "token answer of 1 GiB", "token with a newline",
			"token server that redirects to another host", "redirect loop", "challenge loop", "second challenge of a stranger",
		}
	}
	return nil
}

// elsewhere are the vectors of a section that other tests hold: what is hostile, and
// the test.
func elsewhere(section string) [][2]string {
	switch section {
	case Signatures:
		return [][2]string{
			{"certificate expired at signing", "verify TestHostileKeylessBundles/expired when it signed"},
			{"no trusted time", "verify TestHostileKeylessBundles/no trusted time"},
			{"timestamp over other bytes", "verify TestHostileKeylessBundles/timestamp over other bytes"},
			{"log entry of another artifact", "verify TestHostileKeylessBundles/log entry of another artifact"},
			{"broken inclusion proof", "verify TestHostileKeylessBundles/broken inclusion proof"},
			{"unknown log", "verify TestHostileKeylessBundles/unknown log"},
			{"issuer with a suffix", "verify TestHostileKeylessBundles/issuer with a suffix"},
			{"subject that only an unanchored pattern would match", "verify TestHostileKeylessBundles/subject with a suffix, by pattern"},
			{"pattern that is not anchored", "verify/policy TestParseIdentities/not anchored"},
			{"pull request's token", "verify TestHostileKeylessBundles/a pull request's token"},
			{"fork's token", "verify TestHostileKeylessBundles/a fork's token"},
			{"keyless certificate of blanks", "verify TestHostileKeylessNotes/certificate of blanks"},
			{"keyless log entry whose body is a number", "verify TestHostileKeylessNotes/body a number"},
			{"keyless log entry whose body is null", "verify TestHostileKeylessNotes/body null"},
			{"attestation by the wrong authority", "verify TestAttestations/by another key"},
			{"expired attestation", "verify TestAttestations/too old"},
			{"attestation from the far future", "verify TestAttestations/from the far future"},
			{"condition that costs too much", "verify TestAttestations/condition costs too much"},
			{"swapped signature in a cluster", "test TestHostileReleases/swapped signature"},
			{"attestation as the signature in a cluster", "test TestHostileReleases/attestation"},
		}
	case Order:
		return [][2]string{
			{"tag moved back in a cluster", "test TestRefusals/a replayed release"},
			{"tag moved back after the Delivery was made again", "test TestRefusals/a replayed release after the Delivery was made again"},
			{"equal sequence from another commit in a cluster", "test TestHostileReleases/same sequence, another"},
			{"digest pinned by the user", "test TestHostileReleases/PinnedOlder"},
		}
	case Archives:
		return [][2]string{
			{"tar bomb in a cluster", "test TestHostileReleases/tar bomb"},
			{"name that climbs out in a cluster", "test TestHostileReleases/traversal"},
		}
	case YAML:
		return [][2]string{
			{"foreign namespace under a namespaced tenant", "test TestForeignNamespace"},
			{"billion laughs in a cluster", "test TestHostileReleases/YAML bomb"},
			{"billion laughs in a kustomization", "internal/render TestBounds"},
			{"billion laughs in a policy", "verify/policy TestParse/alias bomb"},
		}
	case Access:
		return [][2]string{
			{"challenge written so that readers differ", "artifact TestNoChallengeNamesAStranger"},
			{"name that resolves to loopback", "internal/httpx TestRefusePrivate"},
			{"redirected challenge", "internal/httpx TestRedirectedChallenge"},
			{"credential helper in a pull secret", "artifact TestPullSecretRunsNothing"},
		}
	}
	return nil
}
