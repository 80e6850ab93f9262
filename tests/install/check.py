#!/usr/bin/env python3
"""Installs a build into a folder and uses libroan from there, as somebody else would.

    tests/install/check.py --build FOLDER [--program ROAN] [--cc CC] [--cxx CXX]

Programs in C and C++ are built with what pkg-config says (shared and static) and by a CMake project with
find_package(roan), and run, against a server if the client is among what is installed. Without a C++ compiler,
pkg-config or CMake their part is skipped.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS_MAX = 60
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SYSTEM_LIBRARIES = ("libc.so.", "libm.so.", "libpthread.so.", "ld-linux", "linux-vdso")
EXPECTED = "as it should be\n"
PUBLIC = ("libroan-hiredis.", "libroan-server.") # beside libroan itself
EMBEDDED_EXAMPLE = os.path.join(HERE, "../../examples/embedded_test.c")


class Failure(Exception):
    pass


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX,
                          check=False, **options)
    if done.returncode != 0:
        raise Failure("%s\nended with %d:\n%s" % (" ".join(command), done.returncode, done.stdout))
    return done.stdout


def require(condition, what):
    if not condition:
        raise Failure(what)


class Installed:
    """The tree below `destination`, and how to use it."""

    def __init__(self, build, destination):
        run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", destination])
        rows = json.loads(run(["meson", "introspect", build, "--buildoptions"]))
        options = {row["name"]: row["value"] for row in rows}
        self.version = json.loads(run(["meson", "introspect", build, "--projectinfo"]))["version"]
        self.destination = destination
        self.root = destination + options["prefix"]
        self.libdir = os.path.join(self.root, options["libdir"])
        self.include = os.path.join(self.root, options["includedir"])
        self.environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(self.libdir, "pkgconfig"),
                                PKG_CONFIG_SYSROOT_DIR=destination, LD_LIBRARY_PATH=self.libdir)

    def pkg_config(self, *flags, package="roan"):
        return run(["pkg-config", *flags, package], env=self.environment).split()

    def run_program(self, program, uri):
        words = [program] + ([uri] if uri else [])
        printed = run(words, env=self.environment)
        require(printed == EXPECTED, "%s printed %r" % (program, printed))


# --- what is checked --------------------------------------------------------------------------------------------------

def check_files(installed):
    """Library with its names, headers, packages; nothing of the inside."""
    for name in ("libroan.so", "libroan.so.0", "libroan.so." + installed.version, "libroan.a", "pkgconfig/roan.pc",
                 "libroan-server.so", "libroan-server.so.0", "libroan-server.so." + installed.version,
                 "libroan-server.a", "pkgconfig/roan-server.pc", "cmake/roan/roan-config.cmake", "cmake/roan/roan-config-version.cmake"):
        require(os.path.isfile(os.path.join(installed.libdir, name)), name + " is not installed")
    for name in ("libroan.so", "libroan.so.0"):
        require(os.path.islink(os.path.join(installed.libdir, name)), name + " is not a link")
    others = [name for name in os.listdir(installed.libdir) if name.startswith("libroan-") and not name.startswith(PUBLIC)]
    require(not others, "a library of the inside is installed: %s" % others)
    headers = os.listdir(os.path.join(installed.include, "roan"))
    require("base.h" in headers and "resp.h" in headers, "headers are missing: %s" % headers)


def check_needs(installed):
    """The library needs the C library only, and its soname is the stable one."""
    lines = run(["readelf", "-d", "-W", os.path.join(installed.libdir, "libroan.so")]).splitlines()
    needed = [line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line]
    foreign = [name for name in needed if not name.startswith(SYSTEM_LIBRARIES)]
    require(needed and not foreign, "libroan.so needs %s" % foreign)
    require(any("(SONAME)" in line and "[libroan.so.0]" in line for line in lines), "the soname is not libroan.so.0")


def build_program(installed, compiler, standard, source, libs, folder, name):
    program = os.path.join(folder, name)
    run([*compiler, "-std=" + standard, *STRICT, *installed.pkg_config("--cflags"), os.path.join(HERE, source), "-o",
         program, *libs])
    return program


def check_pkg_config(installed, options, folder, uri):
    require(installed.pkg_config("--modversion") == [installed.version], "roan.pc has another version")
    shared = installed.pkg_config("--libs")
    static = ["-l:libroan.a" if word == "-lroan" else word for word in installed.pkg_config("--static", "--libs")]
    require("-lroan" in shared and "-l:libroan.a" in static, "roan.pc does not link libroan: %s" % shared)
    programs = [build_program(installed, [options.cc], "c99", "program.c", shared, folder, "c-shared"),
                build_program(installed, [options.cc], "c99", "program.c", static, folder, "c-static")]
    if shutil.which(options.cxx):
        programs.append(build_program(installed, [options.cxx], "c++11", "program.cc", shared, folder, "cxx-shared"))
    for program in programs:
        installed.run_program(program, uri)
    needed = run(["readelf", "-d", "-W", programs[1]])
    require("libroan" not in needed, "the static program needs the shared library")


def check_embedded(installed, options, folder):
    """The example that brings its server along, with what roan-server.pc says."""
    source = ["-std=c99", *STRICT, *installed.pkg_config("--cflags", package="roan-server"), EMBEDDED_EXAMPLE]
    shared = installed.pkg_config("--libs", package="roan-server")
    require("-lroan-server" in shared and "-lroan" in shared, "roan-server.pc does not link: %s" % shared)
    static = ["-l:lib%s.a" % word[2:] if word in ("-lroan", "-lroan-server") else word
              for word in installed.pkg_config("--static", "--libs", package="roan-server")]
    for name, libs in (("embedded-shared", shared), ("embedded-static", static)):
        program = os.path.join(folder, name)
        run([options.cc, *source, "-o", program, *libs])
        printed = run([program], env=installed.environment)
        require(printed and all(line.startswith("ok ") for line in printed.splitlines()),
                "%s printed %r" % (program, printed))
    needed = run(["readelf", "-d", "-W", program])
    require("libroan" not in needed, "the static program needs a shared library of Roan")


def check_cmake(installed, options, folder, uri):
    build = os.path.join(folder, "cmake")
    run(["cmake", "-S", HERE, "-B", build, "-DVERSION=" + installed.version, "-DCMAKE_PREFIX_PATH=" + installed.root,
         "-DCMAKE_C_COMPILER=" + shutil.which(options.cc), "-DCMAKE_CXX_COMPILER=" + shutil.which(options.cxx)])
    run(["cmake", "--build", build])
    for name in ("shared", "static", "cxx"):
        installed.run_program(os.path.join(build, name), uri)


# --- around it --------------------------------------------------------------------------------------------------------

def start_server(program, folder):
    """(process, URI) of a server on a socket in the folder."""
    socket_path = os.path.join(folder, "s")
    process = subprocess.Popen([program, "server", "--port", "0", "--unixsocket", socket_path, "--save", "", "--dir",
                                folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + SECONDS_MAX
    while not os.path.exists(socket_path):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise Failure("the server does not start")
        time.sleep(0.01)
    return process, "unix://" + socket_path


def check_all(options, folder):
    results = {"passed": 0, "failed": 0, "skipped": 0}
    installed = Installed(os.path.abspath(options.build), os.path.join(folder, "root"))
    server, uri = None, None
    if options.program and os.path.exists(os.path.join(installed.include, "roan/client.h")):
        server, uri = start_server(options.program, folder)
    has_cxx = shutil.which(options.cxx)
    checks = [(check_files, (), True), (check_needs, (), True),
              (check_pkg_config, (options, folder, uri), shutil.which("pkg-config")),
              (check_embedded, (options, folder), shutil.which("pkg-config")),
              (check_cmake, (options, folder, uri), shutil.which("cmake") and has_cxx)]
    try:
        for check, arguments, is_possible in checks:
            if not is_possible:
                print("%s: skipped, a program for it is missing" % check.__name__)
                results["skipped"] += 1
                continue
            try:
                check(installed, *arguments)
                results["passed"] += 1
            except Failure as failure:
                print("%s: %s" % (check.__name__, failure))
                results["failed"] += 1
    finally:
        if server:
            server.kill()
            server.wait()
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % results)
    return 1 if results["failed"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--program", help="the program `roan`, for a server")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--cxx", default="c++")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="roan-install-") as folder:
        try:
            return check_all(options, folder)
        except Failure as failure:
            print(failure)
            return 1


if __name__ == "__main__":
    sys.exit(main())
