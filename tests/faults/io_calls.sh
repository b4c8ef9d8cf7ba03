#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Fails when the library calls a function of the system about files that no test makes fail:
#
#     io_calls.sh LIBRARY.a CALL...
#
# The number of processors is read with stdio, and does without; advice on pages may be ignored.
set -eu

library=$1
shift
command -v nm > /dev/null || { echo "skipped: no nm"; exit 77; }
known="close closedir access chdir chmod copy_file_range creat dup dup2 faccessat fallocate fchmod fcntl
    fdatasync fdopen fdopendir fflush fgets flock fopen fputs fread fseek fstat fstatat fsync ftruncate
    fwrite getcwd ioctl link linkat lockf lseek lstat madvise mkdir mkdirat mkostemp mkstemp mmap
    mprotect msync munmap open openat opendir pread preadv pwrite pwritev
    read readdir readlink readv realpath remove rename renameat rmdir scandir sendfile stat
    statx sync sync_file_range symlink tmpfile truncate unlink unlinkat write writev"
excused="closedir fgets fopen madvise"

found=0
for call in $(nm -A -u "$library" 2> /dev/null | grep -v 'processors' | awk '{print $NF}' |
    sed 's/64$//' | sort -u); do
    case " $known " in
    *[[:space:]]"$call"[[:space:]]*) ;;
    *) continue ;;
    esac
    found=$((found + 1))
    case " $* $excused " in
    *" $call "*) ;;
    *)
        echo "$call is called by the library and fails in no test"
        exit 1
        ;;
    esac
done
echo "$found functions of files"
[ "$found" -gt 5 ]
