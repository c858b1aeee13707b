# Sourced by the other scripts after _env.sh: fetches GitHub's published API description (npm, pinned), against which the tests hold
# what ATT asks GitHub for. It is cut to what is used and kept in .cache/octokit. Without npm those tests are skipped.

att_octokit() { python -m tests.att.git.forge.description; }
