#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A few power cuts of a booted machine under load, spool and mailboxes on one file system; test/powercut system N makes more.
exec timeout 600 "${0%/*}/../powercut" system 10
