#!/usr/bin/env bash
# Finds `deployer`, and becomes it. Everything comes in through the environment; see action.yml beside this file.
#
# The last command is `exec`: the runner sends its signals to the step's first process alone, so that process has to be
# the one that can stop a rollout at a safe point.
set -euo pipefail

fail() { # TITLE TEXT, both without anything that came from outside
  printf '::error title=%s::%s\n' "$1" "$2"
  exit "${3:-2}"
}

# Secrets that came as plain variables are shown by nobody from here on, whatever a later step of the job prints.
mask() { # NAME
  local value=${!1:-}
  [ ${#value} -ge 16 ] || return 0 # What is shorter is no secret, and would blot out half of the log.
  value=${value//%/%25}
  value=${value//$'\r'/%0D}
  printf '::add-mask::%s\n' "${value//$'\n'/%0A}"
}
for name in DEPLOYER_JOURNAL_KEY AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN ALIBABA_CLOUD_ACCESS_KEY_SECRET \
  ALIBABA_CLOUD_SECURITY_TOKEN OSS_ACCESS_KEY_SECRET OSS_SESSION_TOKEN; do
  mask "$name"
done

verb=${DEPLOYER_VERB:-rollout}
service=${INPUT_SERVICE:-}
[ -n "$service" ] || fail 'No service' 'the input "service" is empty'
case ${INPUT_PLAN_ONLY:-false} in
  true) verb=plan ;;
  false | '') ;;
  *) fail 'Bad input' 'the input "plan-only" is neither true nor false' ;;
esac

# --- the binary -------------------------------------------------------------------------------------------------

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=${RUNNER_TEMP:-${TMPDIR:-/tmp}}/deployer

checksum() { # FILE
  if command -v sha256sum > /dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

asset() {
  case ${RUNNER_OS:-}-${RUNNER_ARCH:-} in
    Linux-X64) echo deployer-linux-x86_64 ;;
    Linux-ARM64) echo deployer-linux-aarch64 ;;
    macOS-X64) echo deployer-macos-x86_64 ;;
    macOS-ARM64) echo deployer-macos-aarch64 ;;
    Windows-X64) echo deployer-windows-x86_64.exe ;;
    *) return 1 ;;
  esac
}

fetch() { # URL FILE
  curl --proto '=https' --tlsv1.2 --fail --silent --show-error --location --retry 3 --output "$2" -- "$1"
}

# The release that belongs to this very commit of the action, unless another is asked for: whoever pins the action by
# its hash has pinned the binary's version too.
released() {
  local version=${INPUT_VERSION:-} name folder url wanted
  if [ -z "$version" ]; then
    version=v$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../../../Cargo.toml" | head -n 1)
  fi
  [[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] ||
    fail 'Bad version' 'the input "version" is not of the form v1.2.3'
  [[ ${ACTION_REPOSITORY:-} =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]] ||
    fail 'No release' 'the repository of this action is not known: give the input "path"'
  name=$(asset) || fail 'No release' 'there is no released binary for this runner: give the input "path"'
  url=${ACTION_SERVER:-https://github.com}/$ACTION_REPOSITORY/releases/download/$version
  folder=$work/$version
  mkdir -p "$folder"
  fetch "$url/SHA256SUMS" "$folder/SHA256SUMS" || fail 'No release' 'the checksums of the release could not be got' 1
  wanted=$(awk -v name="$name" '$2 == name || $2 == "*" name { print $1 }' "$folder/SHA256SUMS")
  [[ $wanted =~ ^[0-9a-f]{64}$ ]] || fail 'Bad release' 'the checksum file does not name the binary exactly once' 1
  binary=$folder/$name
  fetch "$url/$name" "$binary.new" || fail 'No release' 'the released binary could not be got' 1
  if [ "$(checksum "$binary.new")" != "$wanted" ]; then
    rm -f "$binary.new"
    fail 'Bad release' 'the released binary does not have the checksum that the release names' 1
  fi
  chmod +x "$binary.new"
  mv -f "$binary.new" "$binary"
}

if [ -z "${INPUT_PATH:-}" ]; then
  released
elif [ -f "$INPUT_PATH" ]; then
  binary=$(cd "$(dirname "$INPUT_PATH")" && pwd)/$(basename "$INPUT_PATH")
elif [ -f "$INPUT_PATH/Cargo.toml" ]; then
  target=${CARGO_TARGET_DIR:-$work/target}
  CARGO_TARGET_DIR=$target cargo build --release --locked --manifest-path "$INPUT_PATH/Cargo.toml" --bin deployer ||
    fail 'No binary' 'the build from the checkout failed' 1
  binary=$target/release/deployer
else
  fail 'No binary' 'the input "path" is neither a file nor a checkout of the sources'
fi

# --- the command ------------------------------------------------------------------------------------------------

# `--option=value`: a value that begins with a dash stays a value.
args=("$verb")
option() { # OPTION VALUE
  if [ -n "$2" ]; then args+=("--$1=$2"); fi
}
option config "${INPUT_CONFIG:-}"
option environment "${INPUT_ENVIRONMENT:-}"
option store "${INPUT_STORE:-}"
case $verb in
  rollout | plan)
    option strategy "${INPUT_STRATEGY:-}"
    option revision "${INPUT_REVISION:-}"
    option sequence "${INPUT_SEQUENCE:-}"
    ;;
  rollback) option to "${INPUT_TO:-}" ;;
  *) fail 'Bad verb' 'this script does rollouts, plans and rollbacks' ;;
esac
if [ "$verb" = rollout ]; then
  option wait-lock "${INPUT_WAIT_LOCK:-}"
  option wait-promote "${INPUT_WAIT_PROMOTE:-}"
  args+=(--yes)
fi
args+=(-- "$service")

# One stream, so that the log keeps its order.
exec "$binary" "${args[@]}" 2>&1
