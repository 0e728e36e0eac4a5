/* SPDX-License-Identifier: ISC */
/* CRC-32C (Castagnoli, as RFC 3720 B.4), by the CPU where it can. */
#ifndef PNEU_BASE_CRC32C_H
#define PNEU_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc` (0 to begin). */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without the CPU's instruction; for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
