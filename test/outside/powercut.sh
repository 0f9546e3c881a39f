#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A few power cuts with every test run; test/powercut makes as many as one likes.
exec timeout 120 "${0%/*}/../powercut" 10
