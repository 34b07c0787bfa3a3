package hostile

import "fmt"

func manifests() []string {
	return []string{
		"another body than the digest says", "wrong digest header", "HEAD and GET disagree", "manifest over 4 MiB", "manifest without end",
		"content encoding gzip", "no media type", "media type against content type", "image and index in one", "duplicate keys",
		"keys that differ in case", "Docker schema 1", "an index", "no layer", "two layers", "layer size negative", "layer size 2^62",
		"layer size 20 MiB over the bytes", "layer size smaller than the bytes", "layer of other bytes", "layer without end", "layer with foreign urls",
		"annotation of 1 MiB", "100,000 annotations", "revision with escape codes", "blob redirected to another host",
		"blob redirected to plain HTTP", "blob redirected to a metadata address", "one byte a second",
	}
}

func elsewhereManifests() [][2]string { return nil }

func referrers() []string {
	return []string{
		"9,999 descriptors behind ours", "9,999 descriptors before ours", "10,001 descriptors before ours", "pages without end",
		"next page on another host", "of another subject", "of no subject", "manifest that is not what the descriptor says", "with no layer",
		"with two layers", "odd one beside ours", "bundle of 200 KiB that inflates to 200 MiB", "bundle of 1 MB", "tag index instead of the API",
		"registry that answers 500", "bundles by 500 strangers", "descriptors that lie",
	}
}
func signatures() []string {
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
}
func elsewhereSignatures() [][2]string { return nil }
func elsewhereOrder() [][2]string      { return nil }
func archives() []string {
	names := []string{
		"name that climbs out", "name that climbs out from below", "absolute name", "name with backslashes", "empty name", "name that is a dot",
		"name with NUL", "name over 4,096 bytes", "name of invalid UTF-8", "name with escape codes", "file that is a folder too",
		"duplicate name", "duplicate name by case", "duplicate name by Unicode form", "symbolic link", "hard link", "character device",
		"block device", "FIFO", "set-uid modes and huge ids", "sparse file", "old sparse file", "size of a terabyte",
		"size larger than the archive", "a million empty files", "10,000 levels", "65 levels", "archive without its end", "data after the end",
		"two archives in one", "bad checksum", "100 MiB of global headers", "gzip of 1 GiB of zeros",
		"gzip of a file of 1 GiB", "gzip of 1 GiB in files of 16 MiB", "several gzip members", "gzip with a wrong sum",
		"gzip with a wrong length", "truncated gzip", "garbage after gzip", "no gzip at all",
	}
	for n := 0; n <= 4096; n += 512 {
		names = append(names, fmt.Sprintf("truncated at %d bytes", n))
	}
	return names
}
func yamls() []string {
	return []string{
		"billion laughs", "quadratic aliases", "alias cycle", "alias cycle over two", "100,000 brackets deep", "101 levels deep",
		"100,000 documents", "20,001 documents", "scalar of 256 MiB", "scalar of 5 MiB", "400,000 values", "values in many files", "20 MiB of texts", "300,000 empty values", "dashes", "duplicate keys",
		"duplicate keys by type", "duplicate keys in JSON in YAML", "merge key that smuggles a namespace", "merge key that smuggles a kind",
		"merge key in a list's item", "UTF-16", "NUL", "control characters", "list with a forbidden child", "lists 1,000 deep", "missing name",
		"generateName", "owner references", "name with a slash", "name with an escaped slash", "name of dots", "namespace of dots",
		"name with escape codes", "name yes", "name 0x1F", "name 1e3", "name 012", "PNG named .yaml", "object there twice",
		"second document without a marker", "status, uid and managedFields",
	}
}
func elsewhereYAML() [][2]string { return nil }
func accesses() []string {
	return []string{
		"realm on another host", "realm on a metadata address", "realm by plain HTTP", "realm by a name that resolves to loopback",
		"realm that is a file", "realm with a user", "realm with a backslash", "token answer of 1 GiB", "token with a newline",
		"token server that redirects to another host", "redirect loop", "challenge loop", "second challenge of a stranger",
	}
}
func elsewhereAccess() [][2]string { return nil }
