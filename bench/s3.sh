# How fast a release's files go into S3, in parts and checked, beside curl with one presigned PUT of the
# same bytes. Both against the fake of tests/fakes, on this machine, so the server's own speed bounds both.
# MB: size of a file, 64. FILES: 3
# shellcheck shell=bash
bench_s3() {
	local mb=${MB:-64} files=${FILES:-3} at i ours theirs here_fakes=$here/../tests/fakes

	end
	T=$work/s3
	mkdir -p "$T"
	cd "$T"
	say "s3: $files files of $mb MB"
	head -c "$((mb << 20))" /dev/urandom >file
	background aws node "$here_fakes/aws.mjs" --dir "$T"
	until_ok test -s aws.out
	at=$(jq -r .s3 aws.out)
	(
		export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_CONFIG_FILE=/nowhere AWS_SHARED_CREDENTIALS_FILE=/nowhere
		AWS_ACCESS_KEY_ID=$(jq -r .keyId aws.out)
		AWS_SECRET_ACCESS_KEY=$(jq -r .secret aws.out)
		unset AWS_PROFILE AWS_SESSION_TOKEN
		"$build/bench/s3_put" put "$at" bucket "$T/file" 1 >/dev/null # warm
		for i in $(seq "$((3 * files))"); do
			"$build/bench/s3_put" presign "$at" bucket "curl/$i" "$T/file" >"url.$i"
		done
	)
	ours_once() { # by keys of its own
		AWS_ACCESS_KEY_ID=$(jq -r .keyId aws.out) AWS_SECRET_ACCESS_KEY=$(jq -r .secret aws.out) \
			AWS_CONFIG_FILE=/nowhere AWS_SHARED_CREDENTIALS_FILE=/nowhere \
			"$build/bench/s3_put" put "$at" "bucket/timed.$1" "$T/file" "$files"
	}
	put_by_curl() {
		for i in $(seq "$((($1 - 1) * files + 1))" "$(($1 * files))"); do
			curl -sS --fail -T file -H Expect: -H "$(sed -n 2p "url.$i")" "$(sed -n 1p "url.$i")"
		done
	}
	# In turns, the best of each: the server's heap grows meanwhile, and the machine has other work.
	for i in 1 2 3; do
		ours_once "$i" >>ours
		seconds put_by_curl "$i" >>theirs
	done
	ours=$(sort -g ours | head -n 1)
	theirs=$(sort -g theirs | head -n 1)
	emit s3_put_mb_per_second "$(per_second "$((mb * files))" "$ours")" MB/s \
		"curl, one PUT for each file, the checksum given" "$(per_second "$((mb * files))" "$theirs")"
}
