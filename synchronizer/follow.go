package synchronizer

import "sealift.dev/verify"

// Next decides for followers outside a cluster, as for a Delivery, whether a
// verified release may follow w, the highest one accepted. It returns the new
// highest, which is to be kept before anything is written. A pinned release may be
// older. Its errors are over ErrDowngrade and ErrEquivocation.
func (w Watermark) Next(next verify.Verified, pinned bool) (Watermark, error) {
	statement := next.Statement()
	mark := Watermark{Repository: statement.Repository, Epoch: statement.Epoch, Sequence: statement.Sequence,
		Digest: next.Ref().Digest, Revision: statement.Revision}
	if mark.Repository == "" {
		mark.Repository = next.Ref().Repository.String()
	}
	return accept(w, mark, pinned)
}
