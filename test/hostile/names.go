package hostile

func manifests() []string {
	return []string{
		"another body than the digest says", "wrong digest header", "HEAD and GET disagree", "manifest over 4 MiB", "manifest without end",
		"content encoding gzip", "no media type", "media type against content type", "image and index in one", "duplicate keys",
		"keys that differ in case", "Docker schema 1", "an index", "no layer", "two layers", "layer size negative", "layer size 2^62",
		"layer size 60 MiB over the bytes", "layer size smaller than the bytes", "layer of other bytes", "layer without end", "layer with foreign urls",
		"annotation of 1 MiB", "100,000 annotations", "revision with escape codes", "blob redirected to another host",
		"blob redirected to plain HTTP", "blob redirected to a metadata address", "one byte a second",
	}
}

func elsewhereManifests() [][2]string { return nil }

func referrers() []string              { return nil }
func signatures() []string             { return nil }
func elsewhereSignatures() [][2]string { return nil }
func elsewhereOrder() [][2]string      { return nil }
func archives() []string               { return nil }
func yamls() []string                  { return nil }
func elsewhereYAML() [][2]string       { return nil }
func accesses() []string               { return nil }
func elsewhereAccess() [][2]string     { return nil }
