#!/bin/sh
# Publishes the commit that is checked out as the tip of $BRANCH. Needs: git, sealift, a
# login to the registry (docker login), the key and COSIGN_PASSWORD.
set -eu
: "${BRANCH:=main}" "${KEY:=cosign.key}"
if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
	git fetch --quiet --unshallow
fi
git fetch --quiet origin "+refs/heads/$BRANCH:refs/remotes/origin/$BRANCH"
exec sealift publish --key "$KEY" --ref "refs/heads/$BRANCH" "$@"
