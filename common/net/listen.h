/* SPDX-License-Identifier: ISC */
/* Opening listening sockets, for the service and for `pneu run`. */
#ifndef PNEU_NET_LISTEN_H
#define PNEU_NET_LISTEN_H

#include "common/net/conn.h"

/*
 * Listen at an address as net_addr_parse takes it; "*" means both families,
 * where the machine has both. A Unix socket gets the mode 0660, and takes the
 * place of one where nobody answers. The descriptor is non-blocking and closes
 * on exec. May take a second where the address is in use.
 *
 * 0 with *a and *fd, -EINVAL when `text` is no address, or another -errno.
 */
int net_listen(const char *text, const char *run_dir, struct net_addr *a,
    int *fd);

#endif
